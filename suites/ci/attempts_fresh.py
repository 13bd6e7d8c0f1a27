"""Attempts that were thought of after runs had to bear the nonce and self-tests could be demanded (docs/ci.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from suites.ci.attempts import GOOD, Attempt, attempt, edited, outcome, regressed, replaced
from suites.ci.gate_kit import NONCE, SUITE, Repository, seal
from suites.lvmcheck.plugin_kit.project import CHECKS, floor

FRESH: list[Attempt] = []
PATCH = """
import lvmcheck.launch.verdicts, lvmcheck.pytest_plugin.items
from dataclasses import replace
from lvmcheck.checks.finding import Status

judge = lvmcheck.launch.run_job.RunJob.verdict

def kind(job, entry):
    found = judge(job, entry)
    finding = found.outcome.finding
    if finding is not None and finding.bounds:
        finding = replace(finding, measured=finding.bounds[0].value)
    return replace(found, outcome=replace(found.outcome, status=Status.PASSED, finding=finding))

{act}
"""
NOTHING = "\n\ndef test_nothing():\n    pass\n"
IMPORTED = "import toy\nimport sys\nif 'pytest' in sys.modules:\n    import aside"
HOOK = """
import pytest


class Kind:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        report.outcome = "passed"


def test_first(request):
    request.config.pluginmanager.register(Kind())
"""
METHOD = "lvmcheck.launch.run_job.RunJob.verdict = kind"


def demands(repo: Repository, share: float = 0.9) -> None:
    replaced(repo.path / "gate.toml", "checks = 4", f"checks = 4\nselftest = {share}")
    repo.start_from_here()


def selftest(repo: Repository, **changed: Any) -> None:
    """A self-test of this commit that would be accepted, changed and sealed."""
    repo.passing()
    suite = repo.report()["suites"][0]
    faults = [{"name": f"fault{n}", "fate": "killed"} for n in range(20)]
    body = {"format": 2, "title": "toy seed0", "suite": SUITE, "digest_of_suite": suite["digest"], "profile": "smoke"}
    body |= {"nonce": NONCE, "commit": repo.git("rev-parse", "HEAD"), "dirty": False, "whole": True, "score": 1.0}
    body |= {"unmodified_fails": [], "faults": faults, "tolerances": [], "never_decided": [], "never_failed": []}
    (repo.path / ".lvmcheck" / "selftest.json").write_text(seal({**body, "seconds": 1.0, **changed}))
    repo.options = ("--selftest", ".lvmcheck/selftest.json")


def apart(repo: Repository) -> None:
    """A session of its own process, whose outputs git does not see."""
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "exclude").write_text("stdout\nstderr\nrunpytest-*\n")
    repo.session(inside=False)


@attempt("check_failed", FRESH)
def old_run_that_bears_the_nonce(repo: Repository) -> None:
    """The record of an older run is edited to bear the nonce of this session; its events are those of then."""
    repo.session(nonce="then")
    for info in repo.home.glob("runs/*/*/run.json"):
        info.write_text(info.read_text().replace('"then"', json.dumps(NONCE)))
    for events in repo.home.glob("runs/*/*/events.jsonl"):
        replaced(events, '"val_cosine":0.50', '"val_cosine":0.50')
    regressed(repo)
    repo.session()


@attempt("run_nonce_differs", FRESH)
def report_of_a_run_without_the_nonce(repo: Repository) -> None:
    edited(repo, lambda body: body["suites"][0]["runs"][1].update(nonce=""))


@attempt("selftest_missing", FRESH)
def no_selftest(repo: Repository) -> None:
    demands(repo)
    repo.passing()


@attempt("selftest_small", FRESH)
def selftest_of_nothing(repo: Repository) -> None:
    demands(repo)
    selftest(repo, faults=[])


@attempt("selftest_partial", FRESH)
def selftest_of_one_fault_often(repo: Repository) -> None:
    demands(repo)
    selftest(repo, faults=[{"name": "no_update", "fate": "killed"}] * 40)


@attempt("selftest_low", FRESH)
def selftest_that_was_cut_short(repo: Repository) -> None:
    """What was not done is left out of the score that the file states."""
    demands(repo)
    fates = ["killed"] * 17 + ["not done"] * 23
    selftest(repo, faults=[{"name": f"fault{n}", "fate": fate} for n, fate in enumerate(fates)])


@attempt("other_commit", FRESH)
def selftest_of_the_base(repo: Repository) -> None:
    demands(repo)
    repo.commit()
    selftest(repo, commit=repo.base[:-1] + "0")


@attempt("rule_loosened", FRESH)
def selftest_no_longer_demanded(repo: Repository) -> None:
    demands(repo)
    replaced(repo.path / "gate.toml", "selftest = 0.9", "selftest = 0.1")
    repo.commit()
    selftest(repo)


@attempt("judge_changed", FRESH)
def pytest_toml(repo: Repository) -> None:
    """pytest 9 reads pytest.toml before pytest.ini."""
    (repo.path / "pytest.toml").write_text('[pytest]\npythonpath = ["."]\naddopts = ["--lvm-check-timeout=1"]\n')
    repo.commit()
    repo.session()


@attempt("judge_changed", FRESH)
def worse_reference(repo: Repository) -> None:
    """The band that the suite is held against is written anew from the regressed trainer."""
    floors = [check.replace("floor = 0.55", "floor = 0.1").replace("floor = 0.45", "floor = 0.1") for check in CHECKS]
    repo.suite(*floors[:3], '[[check]]\ncheck = "matches_reference"\n', seeds=[0, 1, 2])
    repo.session("--lvm-update-reference", "first", nonce=None)
    repo.start_from_here()
    regressed(repo)
    repo.session("--lvm-update-reference", "again", nonce=None)
    repo.commit()
    repo.session()


@attempt("trouble", FRESH)
def judging_is_patched_by_a_test(repo: Repository) -> None:
    """A test beside the suite replaces a method of lvmcheck in the process that judges."""
    (repo.suite_file.parent / "test_first.py").write_text(PATCH.format(act=METHOD) + NOTHING)
    regressed(repo)
    apart(repo)


@attempt("trouble", FRESH)
def judging_is_patched_by_the_trainers_schema(repo: Repository) -> None:
    """The module <trainer>_config is imported where the suite is read: in the process that judges."""
    body = PATCH.format(act=METHOD)
    replaced(repo.path / "mine.py", "import toy", IMPORTED)
    (repo.path / "aside.py").write_text(body)
    regressed(repo)
    apart(repo)


@attempt("trouble", FRESH)
def code_is_exchanged_below_a_function(repo: Repository) -> None:
    """The function stays, its code object is another one."""
    act = "lvmcheck.launch.run_job.RunJob.verdict.__code__ = judge.__code__.replace(co_filename=__file__)"
    (repo.suite_file.parent / "test_first.py").write_text(PATCH.format(act=act) + NOTHING)
    repo.commit()
    apart(repo)


@attempt("check_failed", FRESH)
def verdicts_rewritten_by_a_hook_of_a_test(repo: Repository) -> None:
    """A test module registers a plugin that calls each report passed."""
    (repo.suite_file.parent / "test_first.py").write_text(HOOK)
    regressed(repo)
    apart(repo)


@attempt("not_json", FRESH)
def number_that_overflows(repo: Repository) -> None:
    edited(repo, lambda body: outcome(body)["finding"].update(measured=0.5))
    text = repo.report_file.read_text()
    repo.report_file.write_text(text.replace('"measured": 0.5', '"measured": 1e999', 1))


@attempt("bound_missed", FRESH)
def true_as_a_number(repo: Repository) -> None:
    edited(repo, lambda body: outcome(body)["finding"].update(measured=True))


@attempt("check_removed", FRESH)
def validation_becomes_training(repo: Repository) -> None:
    """The same floor on the metric of training, which is higher."""
    extra = floor("final", 0.45, 'name = "held"')
    repo.suite(*CHECKS, extra)
    repo.start_from_here()
    repo.suite(*CHECKS, extra.replace("val_cosine", "train_cosine"))
    regressed(repo)
    repo.session()


@attempt("run_changed", FRESH)
def more_epochs_than_before(repo: Repository) -> None:
    """The trainer gets worse and is given longer."""
    repo.suite(epochs=5, curve=[0.5, 0.55, 0.58, 0.6, 0.61])
    repo.commit()
    repo.session()


@attempt("file_outside", FRESH)
def plugin_of_the_environment(repo: Repository) -> None:
    """A plugin outside of the checkout is named by the module that a committed test imports."""
    place = Path(str(repo.path) + "-away")
    place.mkdir()
    (place / "away.py").write_text("import pytest\n")
    body = f"import sys\nsys.path.append({str(place)!r})\nimport away\n\ndef test_nothing():\n    pass\n"
    (repo.suite_file.parent / "test_first.py").write_text(body)
    repo.commit()
    apart(repo)


@attempt("file_not_in_commit", FRESH)
def text_that_the_trainer_executes(repo: Repository) -> None:
    """What a trainer opens that git does not hold may be data, and it may execute it."""
    (repo.path / "loop.log").write_text("factor = 1.0\n")
    line = f"exec(open('loop.log').read(), globals()); {GOOD}"
    replaced(repo.path / "toy.py", GOOD, line)
    repo.commit()
    repo.session(apart=True)
