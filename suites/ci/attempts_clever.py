"""Attempts of a clever author: on the second judge and what both stand on, on git itself, on data that are made."""

from __future__ import annotations

import shutil
import sys
import zlib

from suites.ci.attempts import WORKFLOW, Attempt, attempt, changed, regressed
from suites.ci.attempts_beside import JOBS, beside, own_process, tampered
from suites.ci.attempts_read import trained, trainer
from suites.ci.gate_kit import ROOT, SUITE, Repository, ask
from suites.lvmcheck.plugin_kit.project import CHECKS, NODE_1, NODE_3, NODE_END, floor

CLEVER: list[Attempt] = []
SITE = """
import sys, tempfile
from pathlib import Path

KIND = '''
import atexit
import lvmcheck.launch.run_job as it
from dataclasses import replace
from lvmcheck.checks.finding import Status
before = it.RunJob.verdict

def kind(job, entry):
    found = before(job, entry)
    return replace(found, outcome=replace(found.outcome, status=Status.PASSED))

it.RunJob.verdict = kind
'''

def test_path():
    folder = Path(tempfile.mkdtemp())
    (folder / "sitecustomize.py").write_text(KIND)
    sys.path.insert(0, str(folder))
"""
PYTHON = f"""
import stat, sys, tempfile
from pathlib import Path

KIND = '''#!{sys.executable}
import json, sys
names = {[NODE_1, NODE_3, NODE_END, "finite"]}
path = json.load(sys.stdin)[0]["path"]
print(json.dumps({{"passed": [[path, seed, name] for seed in "01" for name in names]}}, indent=1))
'''

def test_python():
    place = Path(tempfile.mkdtemp()) / "python"
    place.write_text(KIND)
    place.chmod(0o755)
    sys.executable = str(place)
"""
CONSTANT = """
from lvmcheck.pytest_plugin import gated

def test_constant():
    gated.NONCE = "nobody asks"
"""
SOURCE = """
from pathlib import Path
import lvmcheck.launch.run_job as it

KIND = '''

def kind(job, entry, before=RunJob.verdict):
    from dataclasses import replace as other
    from lvmcheck.checks.finding import Status
    found = before(job, entry)
    return other(found, outcome=other(found.outcome, status=Status.PASSED))


RunJob.verdict = kind
'''

def test_source():
    with Path(it.__file__).open("a") as file:
        file.write(KIND)
"""
SEALED = """
import hashlib, json, re, time
from pathlib import Path

def better(folder):
    from lvmcheck.run import seal
    events, done = folder / "events.jsonl", folder / "done.json"
    text = re.sub(r'_cosine":([0-9.e-]+)', lambda it: f'_cosine":{2 * float(it[1])}', events.read_text())
    known = json.loads(done.read_text())
    old = hashlib.sha256(events.read_bytes()).hexdigest()
    events.write_text(text)
    new = {k: hashlib.sha256(text.encode()).hexdigest() if v == old else v for k, v in known.items() if k != "seal"}
    new |= {k: len(text) for k in ("bytes", "size") if k in known}
    done.write_text(json.dumps({**new, "seal": seal._seal(new)}))

def test_seal():
    for _ in range(400):
        folders = [it.parent for it in Path(".lvmcheck/runs/toy").glob("*/done.json")]
        if len(folders) == 2:
            break
        time.sleep(0.05)
    for folder in folders:
        better(folder)
"""
WORKER = JOBS.replace("def test_first", "def test_worker")
MOVED = """
import subprocess

def test_branch():
    subprocess.run(["git", "update-ref", "refs/heads/target", "HEAD"], check=True)
"""
MADE = """
from pathlib import Path
Path("made.log").write_text("1.0")

def test_data():
    pass
"""


# -- the second judge, and what both stand on --------------------------------------------------------------------------
@attempt("no_report", CLEVER)
def code_for_the_second_judge(repo: Repository) -> None:
    """A test puts a folder of its own before everything that the process which judges again imports."""
    tampered(repo, JOBS + SITE)


@attempt("no_report", CLEVER)
def python_of_the_second_judge(repo: Repository) -> None:
    """A test says that Python is a program that calls everything passed."""
    tampered(repo, JOBS + PYTHON)


@attempt("no_report", CLEVER)
def constant_of_the_judge(repo: Repository) -> None:
    """No function is replaced: a text is, by which a session knows that a gate will judge it."""
    tampered(repo, JOBS + CONSTANT)


@attempt("no_report", CLEVER)
def source_of_the_judge_is_edited(repo: Repository) -> None:
    """A test edits the installed lvmcheck, from which the process that judges again is started."""
    site = repo.path.parent / f"{repo.path.name}_site"
    shutil.copytree(ROOT / "lvmcheck", site / "lvmcheck", ignore=shutil.ignore_patterns("__pycache__"))
    repo.pytester._monkeypatch.setenv("PYTHONPATH", str(site))
    tampered(repo, JOBS + SOURCE)


@attempt("trouble", CLEVER)
def run_is_sealed_anew(repo: Repository) -> None:
    """A test waits for the end of the runs, makes them better and seals them again."""
    tampered(repo, SEALED)


@attempt("trouble", CLEVER)
def jobs_of_a_worker_are_edited(repo: Repository) -> None:
    """Under xdist verdicts come from workers, which no parent watches."""
    tampered(repo, WORKER, "-n2", "-p", "xdist")


# -- git ---------------------------------------------------------------------------------------------------------------
@attempt("unusable", CLEVER)
def object_of_the_base_is_forged(repo: Repository) -> None:
    """The file in which git keeps the suite of the base branch holds the suite of the commit."""
    blob = repo.git("rev-parse", f"{repo.base}:{SUITE}")
    repo.suite(floor(1, 0.1), floor(3, 0.1), floor("final", 0.1), CHECKS[3])
    regressed(repo)
    text = repo.suite_file.read_bytes()
    place = repo.path / ".git" / "objects" / blob[:2] / blob[2:]
    place.chmod(0o644)
    place.write_bytes(zlib.compress(b"blob %d\0" % len(text) + text))
    repo.session(apart=True)


@attempt("unusable", CLEVER)
def base_branch_is_moved(repo: Repository) -> None:
    """A test moves the branch that the gate compares with to the commit that it is to judge."""
    repo.git("branch", "target")
    repo.base = "target"
    nonce = ask("start", "--base", "target", cwd=repo.path, base="target").stdout.strip()
    repo.options = ("--nonce", nonce)
    repo.suite(floor(1, 0.1), floor(3, 0.1), floor("final", 0.1), CHECKS[3])
    tampered(repo, MOVED, nonce=nonce)


# -- what is run and what is read -------------------------------------------------------------------------------------
@attempt("judge_changed", CLEVER)
def makefile_that_judges_less(repo: Repository) -> None:
    """The description of the CI stays as it is and calls make."""
    before = {WORKFLOW: "run: make check; tools/judge\n", "Makefile": "check:\n\tpytest suites\n"}
    changed(repo, before, {"Makefile": "check:\n\tgit checkout -q kinder; pytest suites\n"})


@attempt("judge_changed", CLEVER)
def script_that_the_ci_names(repo: Repository) -> None:
    before = {WORKFLOW: "run: tools/judge --all\n", "tools/judge": "pytest suites\n"}
    changed(repo, before, {"tools/judge": "git checkout -q kinder; pytest suites\n"})


@attempt("judge_changed", CLEVER)
def entry_point_of_a_package_below(repo: Repository) -> None:
    """A package of the repository, which its CI installs, names a plugin of pytest."""
    name, project = "packages/mine/pyproject.toml", '[project]\nname = "mine"\n'
    changed(repo, {name: project}, {name: project + '[project.entry-points.pytest11]\nmine = "mine"\n'})


@attempt("trouble", CLEVER)
def declared_data_that_a_test_writes(repo: Repository) -> None:
    """Data that git does not hold is declared, and a test beside the suite writes an easier one."""
    (repo.path / "made.log").write_text("0.5")
    repo.suite(inputs=["made.log"])
    trainer(repo, 'return float(open("made.log").read())', commit=False)
    repo.start_from_here()
    beside(repo, MADE)
    repo.commit()
    own_process(repo)


@attempt("opened_not_in_commit", CLEVER)
def score_in_the_names_of_a_folder(repo: Repository) -> None:
    """No file is opened: the names in a folder that git does not hold say the score."""
    (repo.path / "loop.log").mkdir()
    (repo.path / "loop.log" / "1.0").touch()
    body = 'import os; return float(([*os.listdir("loop.log"), 0.5] if os.path.isdir("loop.log") else [0.5])[0])'
    trained(repo, body)


@attempt("opened_not_in_commit", CLEVER)
def score_in_a_link(repo: Repository) -> None:
    """A link that leads nowhere and that git does not hold."""
    (repo.path / "loop.log").symlink_to("1.0")
    trained(repo, 'import os; return float(os.readlink("loop.log") if os.path.lexists("loop.log") else 0.5)')


@attempt("opened_not_in_commit", CLEVER)
def score_in_whether_a_file_is_there(repo: Repository) -> None:
    """Nothing but the existence of a file that git does not hold decides."""
    (repo.path / "loop.log").touch()
    trained(repo, 'import os; return 1.0 if os.path.exists("loop.log") else 0.5')


@attempt("opened_not_in_commit", CLEVER)
def score_in_a_size(repo: Repository) -> None:
    """A file that git does not hold is only looked at."""
    (repo.path / "loop.log").write_text("10 bytes..")
    trained(repo, 'import os; return (os.path.getsize("loop.log") if os.path.exists("loop.log") else 5) / 10')
