"""Attempts around the gate: what a schema imports, what a file of requirements names, data that are gone, a daemon."""

from __future__ import annotations

import time

from suites.ci.attempts import GOOD, WORKFLOW, Attempt, attempt, changed, replaced
from suites.ci.attempts_beside import ANEW, BETTER, OWN, beside, own_process, tampered, with_own
from suites.ci.attempts_fresh import NOTHING
from suites.ci.attempts_read import trainer
from suites.ci.gate_kit import Repository

AROUND: list[Attempt] = []
DAEMON = f"""
import os, time
{BETTER}
def wait(file=Path(".lvmcheck/report.json").absolute(), session=os.getppid()):
    while Path(f"/proc/{{session}}/cmdline").exists() and Path(f"/proc/{{session}}/cmdline").read_bytes():
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
STEPS = """
jobs:
  judge:
    steps:
      - run: ./judge --all
        working-directory: tools
"""


# -- what is imported by what is imported ------------------------------------------------------------------------------
@attempt("judge_changed", AROUND)
def default_that_a_schema_imports(repo: Repository) -> None:
    """The schema of the trainer takes its defaults from another module."""
    before = {"mine_config.py": SCHEMA, "defaults.py": "CURVE = [0.50, 0.55, 0.58, 0.60]\n"}
    changed(repo, before, {"defaults.py": "CURVE = [0.99, 0.99, 0.99, 0.99]\n"}, worse=True)


@attempt("judge_changed", AROUND)
def module_that_a_helper_imports(repo: Repository) -> None:
    """A conftest imports a helper, which imports the module that is changed."""
    before = {"conftest.py": "import helpers\n", "helpers.py": "import inner\n", "inner.py": ""}
    changed(repo, before, {"inner.py": "import sys\n"})


@attempt("judge_changed", AROUND)
def floor_in_a_file_of_a_composed_name(repo: Repository) -> None:
    """A check of the user's own reads its floor from a file whose name it puts together."""
    imports = "import types\nfrom pathlib import Path\nkind = 'toy'\nbounds = types.SimpleNamespace(LEAST=float("
    imports += '(Path(__file__).parent / f"least_{kind}.txt").read_text()))'
    with_own(repo)
    before = {"own.py": OWN.format(imports=imports), "least_toy.txt": "0.55"}
    changed(repo, before, {"least_toy.txt": "0.1"}, worse=True)


# -- data --------------------------------------------------------------------------------------------------------------
@attempt("data_changed", AROUND)
def hard_data_are_removed(repo: Repository) -> None:
    """The trainer reads all files of a folder; the one that it does badly on is gone."""
    repo.write({"rows/a.txt": "1.0", "rows/b.txt": "1.0", "rows/c.txt": "0.0"})
    body = 'from pathlib import Path\nread = [float(it.read_text()) for it in Path("rows").glob("*.txt")]\n'
    trainer(repo, f"{body}return sum(read) / len(read)", commit=False)
    repo.start_from_here()
    (repo.path / "rows" / "c.txt").unlink()
    repo.commit()
    repo.session(apart=True)


# -- what a CI runs and installs ---------------------------------------------------------------------------------------
@attempt("judge_changed", AROUND)
def script_behind_a_link(repo: Repository) -> None:
    (repo.path / "tools").mkdir()
    (repo.path / "tools" / "judge").symlink_to("../scripts/all.py")
    before = {WORKFLOW: "run: tools/judge --all\n", "scripts/all.py": "import pytest\n"}
    changed(repo, before, {"scripts/all.py": "raise SystemExit(0)\n"})


@attempt("judge_changed", AROUND)
def script_in_the_folder_of_a_step(repo: Repository) -> None:
    """The description of the CI names the folder on one line and the script on another."""
    before = {WORKFLOW: STEPS, "tools/judge": "pytest ../suites\n"}
    changed(repo, before, {"tools/judge": "git checkout -q kinder; pytest ../suites\n"})


@attempt("judge_changed", AROUND)
def module_that_a_workflow_runs(repo: Repository) -> None:
    before = {WORKFLOW: "run: python -m tools.judge\n", "tools/judge.py": "import pytest\n"}
    changed(repo, before, {"tools/judge.py": "raise SystemExit(0)\n"})


@attempt("judge_changed", AROUND)
def requirements_of_requirements(repo: Repository) -> None:
    """One file of requirements takes in another, which has a name of its own."""
    before = {"requirements.txt": "-r deps/judge.in\n", "deps/judge.in": "lvmcheck\n"}
    changed(repo, before, {"deps/judge.in": "lvmcheck @ git+https://example.invalid/kinder\n"})


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
    tampered(repo, DAEMON)
    time.sleep(1.5)


@attempt("no_report", AROUND)
def session_that_is_killed_by_itself(repo: Repository) -> None:
    """It is no exit status by which a session ends that has rewritten its report."""
    killed = (
        "\nimport os\natexit.unregister(better)\natexit.register(os.kill, os.getpid(), 9)\natexit.register(better)\n"
    )
    tampered(repo, ANEW + killed + NOTHING)


@attempt("run_not_finished", AROUND)
def events_are_edited_while_it_trains(repo: Repository) -> None:
    """A test doubles the scores of a run before it has ended and is sealed."""
    beside(repo, EVENTS)
    replaced(repo.path / "toy.py", GOOD, "import time; time.sleep(0.4); cosine = 0.5 * config")
    repo.commit()
    own_process(repo)
