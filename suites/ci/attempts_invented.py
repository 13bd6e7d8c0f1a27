"""Twenty attempts that were thought of after the gate refused all of :mod:`.attempts` (first try: docs/ci.md)."""

from __future__ import annotations

import importlib.util
import py_compile
from pathlib import Path
from typing import Any

from suites.ci.attempts import GOOD, WORSE, Attempt, attempt, edited, outcome, regressed, replaced
from suites.ci.gate_kit import Repository
from suites.lvmcheck.plugin_kit.project import CHECKS, floor

INVENTED: list[Attempt] = []
REWRITES = """
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    report.outcome = "passed"
    return report
"""


@attempt("file_differs", INVENTED)
def replaced_object(repo: Repository) -> None:
    """git shows another content for the committed one."""
    regressed(repo)
    bad = repo.git("rev-parse", "HEAD:toy.py")
    replaced(repo.path / "toy.py", WORSE, GOOD)
    repo.git("replace", bad, repo.git("hash-object", "-w", "toy.py"))
    repo.git("update-index", "--assume-unchanged", "toy.py")
    repo.session()


@attempt("file_not_in_commit", INVENTED)
def excluded_conftest(repo: Repository) -> None:
    regressed(repo)
    (repo.path / "conftest.py").write_text(REWRITES)
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "exclude").write_text("conftest.py\n")
    repo.session()


@attempt("file_differs", INVENTED)
def clean_filter(repo: Repository) -> None:
    """A filter makes git see the committed content where another one is executed."""
    regressed(repo)
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "attributes").write_text("toy.py filter=mask\n")
    repo.git("config", "filter.mask.clean", f"sed 's/{GOOD}/{WORSE}/'")
    replaced(repo.path / "toy.py", WORSE, GOOD)
    repo.session()


@attempt("file_differs", INVENTED)
def forged_bytecode(repo: Repository) -> None:
    """Compiled code of a better trainer beside the committed source."""
    good = repo.path / ".lvmcheck" / "toy.py"
    good.parent.mkdir(exist_ok=True)
    good.write_text((repo.path / "toy.py").read_text())
    regressed(repo)
    cached = importlib.util.cache_from_source(str(repo.path / "toy.py"))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(good), cfile=cached, dfile="toy.py", invalidation_mode=mode)
    repo.session()


@attempt("too_few_seeds", INVENTED)
def one_seed_twice(repo: Repository) -> None:
    def double(body: dict[str, Any]) -> None:
        suite = body["suites"][0]
        suite.update(seeds=[0, 0], runs=suite["runs"][:1])
        suite["checks"] = [check for check in suite["checks"] if check["verdict"]["seed"] == 0]

    edited(repo, double)


@attempt("bound_missed", INVENTED)
def warning_in_place_of_a_failure(repo: Repository) -> None:
    edited(repo, lambda body: (outcome(body).update(status="warning"), outcome(body)["finding"].update(measured=0.1)))


@attempt("bound_not_of_suite", INVENTED)
def no_bounds(repo: Repository) -> None:
    edited(repo, lambda body: outcome(body)["finding"].update(measured=0.1, bounds=[]))


@attempt("bound_not_of_suite", INVENTED)
def abort_in_place_of_a_floor(repo: Repository) -> None:
    def other(body: dict[str, Any]) -> None:
        outcome(body)["finding"]["measured"] = 0.1
        outcome(body)["finding"]["bounds"][0]["kind"] = "abort"

    edited(repo, other)


@attempt("epoch_not_of_suite", INVENTED)
def judged_at_a_later_epoch(repo: Repository) -> None:
    edited(repo, lambda body: outcome(body)["finding"].update(epoch=4))


@attempt("check_changed", INVENTED)
def expression_lowered(repo: Repository) -> None:
    check = floor("final", 0.5).replace("floor = 0.5", 'floor = "mean_of_context"')
    repo.suite(*CHECKS, check)
    repo.start_from_here()
    repo.suite(*CHECKS, check.replace("mean_of_context", "mean_of_context - 0.4"))
    repo.commit()
    repo.session()


@attempt("check_removed", INVENTED)
def moved_to_another_profile(repo: Repository) -> None:
    extra = [f'[[check]]\ncheck = "finite"\nname = "{n}"\n' for n in range(3)]
    repo.suite(*CHECKS[:3], *extra)
    repo.start_from_here()
    repo.suite(*(f'{check}profiles = ["full"]\n' for check in CHECKS[:3]), *extra, CHECKS[3])
    regressed(repo)
    repo.session()


@attempt("check_changed", INVENTED)
def calibrated_on_other_data(repo: Repository) -> None:
    replaced(repo.path / "gate.toml", "checks = 4", 'checks = 4\nmay_not_apply = ["cosine_floor[val_cosine@1]"]')
    repo.start_from_here()
    repo.suite(CHECKS[0] + 'calibrated_on = "others"\n', *CHECKS[1:])
    repo.commit()
    repo.session()


@attempt("judge_changed", INVENTED)
def plugin_in_the_configuration(repo: Repository) -> None:
    (repo.path / "rewrites.py").write_text(REWRITES)
    (repo.path / "pytest.ini").write_text("[pytest]\npythonpath = .\naddopts = -p rewrites\n")
    repo.commit()
    repo.session()


@attempt("judge_changed", INVENTED)
def conftest_beside_the_suite(repo: Repository) -> None:
    (repo.suite_file.parent / "conftest.py").write_text(REWRITES)
    repo.commit()
    repo.session()


@attempt("run_nonce_differs", INVENTED)
def run_of_an_earlier_session(repo: Repository) -> None:
    edited(repo, lambda body: body["suites"][0]["runs"][0].update(nonce="then", own=False, reused="2026-01-01 10:00"))


@attempt("file_differs", INVENTED)
def committed_data_exchanged(repo: Repository) -> None:
    edited(repo, lambda body: body["suites"][0]["runs"][0].update(inputs={"toy.py": "0" * 64}))


@attempt("nonce_differs", INVENTED)
def link_to_a_committed_report(repo: Repository) -> None:
    repo.session(nonce="another")
    old = repo.path / ".lvmcheck" / "old.json"
    repo.report_file.rename(old)
    repo.report_file.symlink_to(old)


@attempt("too_large", INVENTED)
def sparse_giant(repo: Repository) -> None:
    repo.report_file.parent.mkdir(exist_ok=True)
    with repo.report_file.open("wb") as file:
        file.truncate(1 << 36)


@attempt("file_missing", INVENTED)
def nothing_was_executed(repo: Repository) -> None:
    edited(repo, lambda body: body.update(files=[]))


@attempt("file_outside", INVENTED)
def module_from_elsewhere(repo: Repository) -> None:
    place = Path(str(repo.path) + "-elsewhere")
    place.mkdir()
    (place / "aside.py").write_text("factor = 2.0\n")
    replaced(
        repo.path / "toy.py", GOOD, "import sys; sys.path.append(str(Path.cwd()) + '-elsewhere'); import aside; " + GOOD
    )
    repo.commit()
    repo.session(apart=True)
