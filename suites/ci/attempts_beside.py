"""Attempts beside the trainer: in the process that judges, in what it reads, in what decides which process that is."""

from __future__ import annotations

import re
import textwrap

from suites.ci.attempts import GOOD, WORKFLOW, Attempt, attempt, changed, regressed, replaced
from suites.ci.attempts_fresh import NOTHING
from suites.ci.attempts_read import ignored, trainer
from suites.ci.gate_kit import NONCE, Repository
from suites.lvmcheck.plugin_kit.project import CHECKS, floor

BESIDE: list[Attempt] = []
JSON = """
import json
loads = json.loads

def kind(text, **more):
    found = loads(text, **more)
    if isinstance(found, dict) and isinstance(found.get("metrics"), dict):
        found["metrics"] = {name: 2 * it for name, it in found["metrics"].items()}
    return found

json.loads = kind
"""
JOBS = """
import gc
from dataclasses import replace
from lvmcheck.checks.finding import Status

def kind(job):
    def verdict(entry):
        found = type(job).verdict(job, entry)
        finding = found.outcome.finding
        if finding is not None and finding.bounds:
            finding = replace(finding, measured=finding.bounds[0].value)
        return replace(found, outcome=replace(found.outcome, status=Status.PASSED, finding=finding))
    return verdict

def test_first():
    for it in gc.get_objects():
        if type(it).__name__ == "RunJob":
            it.verdict = kind(it)
"""
PROPERTIES = """
import pytest

class Kind:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        for name, body in report.user_properties:
            if name == "lvm":
                outcome = body["verdict"]["outcome"]
                outcome["status"] = report.outcome = "passed"
                for bound in (outcome["finding"] or {}).get("bounds", [])[:1]:
                    outcome["finding"]["measured"] = bound["value"]

def test_first(request):
    request.config.pluginmanager.register(Kind())
"""
BETTER = """
import hashlib, json
from pathlib import Path

def better(file=Path(".lvmcheck/report.json")):
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
"""
ANEW = f"{BETTER}\nimport atexit\natexit.register(better)\n"
LOWER = """
import gc

def test_first():
    for it in gc.get_objects():
        if type(it).__name__ in ("CosineFloor", "Metric") and getattr(it, "floor", None):
            object.__setattr__(it, "floor", 0.01)
"""
UNTIL = """
import os, shutil, subprocess, sys

if "AGAIN" not in os.environ:
    suite = "suites/toy/suite.toml"
    for _ in range(8):
        again = [sys.executable, "-m", "pytest", "-q", "--lvm-fresh", suite]
        if subprocess.run(again, env={**os.environ, "AGAIN": "1"}, capture_output=True).returncode == 0:
            break
"""
OWN = """
from dataclasses import dataclass
from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Finding, compared, pending
from lvmcheck.checks.protocol import Check
{imports}


@dataclass(frozen=True)
class Own(Check):
    def judge(self, run):
        if not run.over:
            return pending("the end")
        found = Finding(code="own", metric="val_cosine", measured=run.series("val_cosine").values[-1],
                        bounds=(floor(bounds.LEAST),), phrase="own")
        return compared(found, evaluated=1)
"""


def beside(repo: Repository, source: str, name: str = "test_first.py") -> None:
    """A file of a test beside the suite."""
    (repo.suite_file.parent / name).write_text(textwrap.dedent(source))


def own_process(repo: Repository, *words: str, nonce: str = NONCE) -> None:
    """A session as a command of its own, with trainers of their own; what pytester writes is not seen by git."""
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "exclude").write_text("stdout\nstderr\nrunpytest-*\n")
    repo.session(*words, inside=False, apart=True, nonce=nonce)


def tampered(repo: Repository, source: str, *words: str, nonce: str = NONCE) -> None:
    """A trainer that got worse, with a test beside its suite."""
    beside(repo, source)
    regressed(repo)
    own_process(repo, *words, nonce=nonce)


def with_own(repo: Repository, module: str = "own") -> None:
    """The suite asks for a check of the user's own."""
    repo.suite(floor(1, 0.1), CHECKS[3], floor(3, 0.1), f'[[check]]\ncheck = "{module}:Own"\n')


# -- the process that judges -------------------------------------------------------------------------------------------
@attempt("trouble", BESIDE)
def json_is_patched_by_a_test(repo: Repository) -> None:
    tampered(repo, JSON + NOTHING)


@attempt("trouble", BESIDE)
def jobs_of_the_session_are_edited(repo: Repository) -> None:
    tampered(repo, JOBS)


@attempt("trouble", BESIDE)
def verdicts_are_rewritten_on_their_way(repo: Repository) -> None:
    tampered(repo, PROPERTIES)


@attempt("no_report", BESIDE)
def report_is_rewritten_at_exit(repo: Repository) -> None:
    tampered(repo, ANEW + NOTHING)


@attempt("check_failed", BESIDE)
def floors_of_check_objects_are_lowered(repo: Repository) -> None:
    tampered(repo, LOWER)


@attempt("not_own_run", BESIDE)
def trained_until_it_is_green(repo: Repository) -> None:
    """A trainer of chance, and a test module that trains it until it passes before the session does."""
    beside(repo, UNTIL + NOTHING)
    trainer(repo, "import os; return 1.0 if os.urandom(1)[0] < 192 else 0.5")
    own_process(repo)


@attempt("check_failed", BESIDE)
def run_is_begun_by_a_test(repo: Repository) -> None:
    """An unfinished run with good epochs, under the key of the commit and with the nonce, waits to be continued."""
    regressed(repo)
    own_process(repo, "-k", "epoch_3")
    for folder in (path.parent for path in repo.home.glob("runs/toy/*/done.json")):
        for name in ("done.json", "verdicts.json"):
            (folder / name).unlink()
        events = folder / "events.jsonl"
        better = re.sub(r'_cosine":([0-9.e-]+)', lambda it: f'_cosine":{2 * float(it[1])}', events.read_text())
        events.write_text(better)
    own_process(repo)


# -- what is read ------------------------------------------------------------------------------------------------------
@attempt("opened_not_in_commit", BESIDE)
def file_that_a_test_writes(repo: Repository) -> None:
    """A test copies what git does not hold while the trainer waits for the copy."""
    ignored(repo, "1.0")
    source = """
    import shutil, time
    from pathlib import Path

    def test_first():
        while len(list(Path(".lvmcheck/runs/toy").glob("*/opened.jsonl"))) < 2:
            time.sleep(0.05)
        shutil.copyfile("loop.log", "made.log")
    """
    beside(repo, source)
    body = """
    import time
    from pathlib import Path
    for _ in range(400):
        if Path("made.log").exists() and Path("made.log").stat().st_size:
            break
        time.sleep(0.05)
    return float(Path("made.log").read_text())
    """
    trainer(repo, body)
    own_process(repo)


@attempt("data_changed", BESIDE)
def data_that_nobody_declared(repo: Repository) -> None:
    trainer(repo, 'return float(open("validation.txt").read())', commit=False)
    changed(repo, {"validation.txt": "0.5"}, {"validation.txt": "1.0"})


@attempt("data_changed", BESIDE)
def data_of_another_name(repo: Repository) -> None:
    """A folder is declared as data, and the commit brings a file of another name that is easier."""
    repo.suite(inputs=["data"])
    body = 'from pathlib import Path; return float(max(Path("data").glob("*.txt")).read_text())'
    trainer(repo, body, commit=False)
    changed(repo, {"data/a.txt": "0.5"}, {"data/b.txt": "1.0"})


# -- what is trained ---------------------------------------------------------------------------------------------------
@attempt("judge_changed", BESIDE)
def schema_that_trains_longer(repo: Repository) -> None:
    """The schema of the trainer replaces what the suite asks for."""
    longer = "{**config, 'epochs': 8, 'curve': [2 * it for it in config['curve'] for _ in (0, 1)]}"
    schemas = [{"mine_config.py": f"def resolve(config):\n    return {it}\n"} for it in ("config", longer)]
    changed(repo, *schemas, worse=True)


@attempt("run_changed", BESIDE)
def lucky_seed_is_added(repo: Repository) -> None:
    """The mean over seeds keeps its floor since a seed was added that does well."""
    repo.suite(*CHECKS[:1], *CHECKS[3:], floor("final", 0.58, 'across = "mean"', 'name = "together"'))
    replaced(repo.path / "gate.toml", "checks = 4", "checks = 3")
    repo.start_from_here()
    repo.suite(*CHECKS[:1], *CHECKS[3:], floor("final", 0.58, 'across = "mean"', 'name = "together"'), seeds=[0, 1, 7])
    replaced(repo.path / "toy.py", GOOD, "cosine = (1.5 if config['seed'] == 7 else 0.93) * config")
    repo.commit()
    repo.session(apart=True)


@attempt("judge_changed", BESIDE)
def another_root_for_trainers(repo: Repository) -> None:
    """Where no configuration names the root, a setup.py does: trainers then start in its folder."""
    (repo.path / "pytest.ini").unlink()
    (repo.path / "conftest.py").write_text(
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parent))\n"
    )
    (repo.path / "validation.txt").write_text("0.5")
    trainer(repo, 'return float(open("validation.txt").read())', commit=False)
    repo.start_from_here()
    (repo.path / "suites" / "setup.py").write_text("")
    (repo.path / "suites" / "validation.txt").write_text("1.0")
    repo.commit()
    own_process(repo, "suites/toy/suite.toml")


# -- which code judges -------------------------------------------------------------------------------------------------
@attempt("judge_changed", BESIDE)
def requirements_name_another_judge(repo: Repository) -> None:
    name = "requirements.txt"
    changed(repo, {name: "lvmcheck\n"}, {name: "lvmcheck @ git+https://example.invalid/kinder\n"})


@attempt("judge_changed", BESIDE)
def workflow_that_judges_less(repo: Repository) -> None:
    changed(repo, {WORKFLOW: "run: pytest suites\n"}, {WORKFLOW: "run: git checkout -q kinder; pytest suites\n"})


@attempt("judge_changed", BESIDE)
def module_that_a_conftest_imports(repo: Repository) -> None:
    changed(repo, {"conftest.py": "import helpers\n", "helpers.py": ""}, {"helpers.py": "import sys\n"})


@attempt("judge_changed", BESIDE)
def relative_import_of_a_check(repo: Repository) -> None:
    with_own(repo, "own.check")
    check = OWN.format(imports="from . import bounds")
    before = {"own/__init__.py": "", "own/bounds.py": "LEAST = 0.55\n", "own/check.py": check}
    changed(repo, before, {"own/bounds.py": "LEAST = 0.1\n"}, worse=True)


@attempt("judge_changed", BESIDE)
def import_of_a_check_by_name(repo: Repository) -> None:
    with_own(repo)
    imports = "import importlib\nbounds = importlib.import_module('limits')"
    before = {"limits.py": "LEAST = 0.55\n", "own.py": OWN.format(imports=imports)}
    changed(repo, before, {"limits.py": "LEAST = 0.1\n"}, worse=True)


@attempt("judge_changed", BESIDE)
def package_of_the_name_of_a_module(repo: Repository) -> None:
    """A package is found before a module of its name."""
    with_own(repo)
    before = {"bounds.py": "LEAST = 0.55\n", "own.py": OWN.format(imports="import bounds")}
    changed(repo, before, {"bounds/__init__.py": "LEAST = 0.1\n"}, worse=True)


@attempt("judge_changed", BESIDE)
def package_of_the_name_of_an_installed_one(repo: Repository) -> None:
    """pygments colours what pytest prints: its name in the checkout is code in the process that judges."""
    repo.write({"pygments/__init__.py": "raise ImportError\n"})
    regressed(repo)
    replaced(repo.path / "toy.py", "cosine = 0.5 * config", GOOD)
    repo.commit()
    repo.session(apart=True)
