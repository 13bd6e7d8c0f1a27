"""Attempts around the gate: what a schema imports, what a file of requirements names, data that are gone, a daemon."""

from __future__ import annotations

import time

from suites.ci.attempts import GOOD, Attempt, attempt, regressed, replaced
from suites.ci.attempts_beside import ANEW, OWN, beside, own_process
from suites.ci.attempts_fresh import NOTHING
from suites.ci.attempts_read import trainer
from suites.ci.gate_kit import Repository
from suites.lvmcheck.plugin_kit.project import CHECKS, floor

AROUND: list[Attempt] = []
DAEMON = """
import hashlib, json, os, time
from pathlib import Path

def better(file):
    body = json.loads(file.read_text())
    body.pop("digest")
    for suite in body["suites"]:
        for check in suite["checks"]:
            outcome, check["pytest"] = check["verdict"]["outcome"], "passed"
            outcome["status"] = "passed"
            for bound in (outcome["finding"] or {}).get("bounds", [])[:1]:
                outcome["finding"]["measured"] = bound["value"]
    passed = body["tests"]["passed"] + body["tests"]["failed"]
    body["tests"] |= {"passed": passed, "failed": 0}
    body |= {"status": "passed", "exit_status": 0}
    raw = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    file.write_text(json.dumps({**body, "digest": hashlib.sha256(raw).hexdigest()}))

def wait(file=Path(".lvmcheck/report.json").absolute(), session=os.getppid()):
    while Path(f"/proc/{session}/cmdline").exists() and Path(f"/proc/{session}/cmdline").read_bytes():
        time.sleep(0.05)
    time.sleep(0.2)
    better(file)

def test_daemon():
    if os.fork() == 0:
        os.setsid()
        for number in range(3):
            os.close(number)
        if os.fork() == 0:
            wait()
        os._exit(0)
"""
EVENTS = """
import re, time
from pathlib import Path

def better(file):
    text = file.read_text()
    known = re.sub(r'_cosine":0.\\d', '_cosine":0.7', text)
    with file.open("r+") as opened:
        opened.write(known)

def test_events():
    for _ in range(200):
        files = [*Path(".lvmcheck/runs/toy").glob("*/events.jsonl")]
        for file in files:
            if not (file.parent / "done.json").exists():
                better(file)
        if len(files) == 2 and all((file.parent / "done.json").exists() for file in files):
            break
        time.sleep(0.05)
"""
SCHEMA = """
from defaults import CURVE


def validate(config):
    return {**config, "curve": CURVE}


METRICS = ()
"""
WORKFLOW = """
jobs:
  judge:
    steps:
      - run: ./judge --all
        working-directory: tools
"""


def workflow(repo: Repository, text: str) -> None:
    place = repo.path / ".github" / "workflows" / "lvmcheck.yml"
    place.parent.mkdir(parents=True)
    place.write_text(text)


# -- what is imported by what is imported ------------------------------------------------------------------------------
@attempt("judge_changed", AROUND)
def default_that_a_schema_imports(repo: Repository) -> None:
    """The schema of the trainer takes its defaults from another module."""
    (repo.path / "mine_config.py").write_text(SCHEMA)
    (repo.path / "defaults.py").write_text("CURVE = [0.50, 0.55, 0.58, 0.60]\n")
    repo.start_from_here()
    (repo.path / "defaults.py").write_text("CURVE = [0.99, 0.99, 0.99, 0.99]\n")
    regressed(repo)
    repo.session(apart=True)


@attempt("judge_changed", AROUND)
def module_that_a_helper_imports(repo: Repository) -> None:
    """A conftest imports a helper, which imports the module that is changed."""
    (repo.path / "conftest.py").write_text("import helpers\n")
    (repo.path / "helpers.py").write_text("import inner\n")
    (repo.path / "inner.py").write_text("")
    repo.start_from_here()
    (repo.path / "inner.py").write_text("import sys\n")
    repo.commit()
    repo.session(apart=True)


@attempt("judge_changed", AROUND)
def floor_in_a_file_of_a_composed_name(repo: Repository) -> None:
    """A check of the user's own reads its floor from a file whose name it puts together."""
    imports = "import types\nfrom pathlib import Path\nkind = 'toy'\nbounds = types.SimpleNamespace(LEAST=float("
    imports += '(Path(__file__).parent / f"least_{kind}.txt").read_text()))'
    (repo.path / "own.py").write_text(OWN.format(imports=imports))
    (repo.path / "least_toy.txt").write_text("0.55")
    repo.suite(floor(1, 0.1), CHECKS[3], floor(3, 0.1), '[[check]]\ncheck = "own:Own"\n')
    repo.start_from_here()
    (repo.path / "least_toy.txt").write_text("0.1")
    regressed(repo)
    repo.session(apart=True)


# -- data --------------------------------------------------------------------------------------------------------------
@attempt("data_changed", AROUND)
def hard_data_are_removed(repo: Repository) -> None:
    """The trainer reads all files of a folder; the one that it does badly on is gone."""
    (repo.path / "rows").mkdir()
    for name, score in (("a", "1.0"), ("b", "1.0"), ("c", "0.0")):
        (repo.path / "rows" / f"{name}.txt").write_text(score)
    body = 'from pathlib import Path\nread = [float(it.read_text()) for it in Path("rows").glob("*.txt")]\n'
    trainer(repo, f"{body}return sum(read) / len(read)", commit=False)
    repo.start_from_here()
    (repo.path / "rows" / "c.txt").unlink()
    repo.commit()
    repo.session(apart=True)


# -- what a CI runs and installs ---------------------------------------------------------------------------------------
@attempt("judge_changed", AROUND)
def script_behind_a_link(repo: Repository) -> None:
    workflow(repo, "run: tools/judge --all\n")
    (repo.path / "tools").mkdir()
    (repo.path / "scripts").mkdir()
    (repo.path / "scripts" / "all.py").write_text("import pytest\n")
    (repo.path / "tools" / "judge").symlink_to("../scripts/all.py")
    repo.start_from_here()
    (repo.path / "scripts" / "all.py").write_text("raise SystemExit(0)\n")
    repo.commit()
    repo.session(apart=True)


@attempt("judge_changed", AROUND)
def script_in_the_folder_of_a_step(repo: Repository) -> None:
    """The description of the CI names the folder on one line and the script on another."""
    workflow(repo, WORKFLOW)
    (repo.path / "tools").mkdir()
    (repo.path / "tools" / "judge").write_text("pytest ../suites\n")
    repo.start_from_here()
    (repo.path / "tools" / "judge").write_text("git checkout -q kinder; pytest ../suites\n")
    repo.commit()
    repo.session(apart=True)


@attempt("judge_changed", AROUND)
def module_that_a_workflow_runs(repo: Repository) -> None:
    workflow(repo, "run: python -m tools.judge\n")
    (repo.path / "tools").mkdir()
    (repo.path / "tools" / "judge.py").write_text("import pytest\n")
    repo.start_from_here()
    (repo.path / "tools" / "judge.py").write_text("raise SystemExit(0)\n")
    repo.commit()
    repo.session(apart=True)


@attempt("judge_changed", AROUND)
def requirements_of_requirements(repo: Repository) -> None:
    """One file of requirements takes in another, which has a name of its own."""
    (repo.path / "requirements.txt").write_text("-r deps/judge.in\n")
    (repo.path / "deps").mkdir()
    (repo.path / "deps" / "judge.in").write_text("lvmcheck\n")
    repo.start_from_here()
    (repo.path / "deps" / "judge.in").write_text("lvmcheck @ git+https://example.invalid/kinder\n")
    repo.commit()
    repo.session(apart=True)


@attempt("judge_changed", AROUND)
def index_of_packages(repo: Repository) -> None:
    """Where packages are installed from, and with which Python, stands in files of the repository."""
    (repo.path / "uv.toml").write_text('index-strategy = "unsafe-best-match"\n')
    repo.commit()
    repo.session(apart=True)


# -- beside the session ------------------------------------------------------------------------------------------------
@attempt("check_failed", AROUND)
def daemon_that_rewrites_the_report(repo: Repository) -> None:
    """A test leaves a process behind, which waits until the session and its parent have ended."""
    beside(repo, DAEMON)
    regressed(repo)
    own_process(repo)
    time.sleep(1.5)


@attempt("no_report", AROUND)
def session_that_is_killed_by_itself(repo: Repository) -> None:
    """It is no exit status by which a session ends that has rewritten its report."""
    killed = "\natexit.unregister(kind)\natexit.register(os.kill, os.getpid(), 9)\natexit.register(kind)\n"
    beside(repo, ANEW + killed + NOTHING)
    regressed(repo)
    own_process(repo)


@attempt("run_not_finished", AROUND)
def events_are_edited_while_it_trains(repo: Repository) -> None:
    """A test doubles the scores of a run before it has ended and is sealed."""
    beside(repo, EVENTS)
    replaced(repo.path / "toy.py", GOOD, "import time; time.sleep(0.4); cosine = 0.5 * config")
    repo.commit()
    own_process(repo)
