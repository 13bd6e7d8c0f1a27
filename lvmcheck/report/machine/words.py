"""What all renderers say alike: the sentence of a check, counts, and which checks need somebody's attention."""

from __future__ import annotations

from lvmcheck.checks.finding import Finding
from lvmcheck.report.machine.session import CheckReport, RunReport, SessionReport, SuiteReport
from lvmcheck.report.progress import duration

COUNTED = ("passed", "failed", "error", "not applicable", "pending", "not run")


def sentence(check: CheckReport) -> str:
    """``val cosine 0.31 at epoch 1; wanted at least 0.48``, or why there is no figure."""
    if check.what is None:
        return check.reason or check.status
    return Finding(
        what=check.what,
        measured=check.measured,
        wanted=check.wanted or "",
        epoch=check.epoch,
        step=check.step,
    ).sentence()


def is_bad(check: CheckReport) -> bool:
    """Failed, or could not be judged, or pytest disagrees; not what another check's failure left open."""
    return not check.unreached and (check.status in ("failed", "error") or check.pytest == "failed")


def seed_words(seed: int | str) -> str:
    return seed if isinstance(seed, str) else f"seed{seed}"


def counts(suite: SuiteReport) -> dict[str, int]:
    """Checks of each status; those of "not reached" are among the failed."""
    return {status: sum(check.status == status for check in suite.checks) for status in COUNTED}


def headline(report: SessionReport) -> str:
    """``2 of 105 checks failed``."""
    checks = [check for suite in report.suites for check in suite.checks]
    passed = sum(check.status == "passed" for check in checks)
    bad = sum(is_bad(check) for check in checks)
    open_ = sum(check.unreached for check in checks)
    left = sum(check.status == "not run" for check in checks)
    if report.status not in ("passed", "failed"):
        return f"{report.status}: {passed} of {len(checks)} checks passed"
    if bad or open_:
        return f"{bad} of {len(checks)} checks failed" + (f", {open_} not reached" if open_ else "")
    if report.status == "failed":
        return f"{passed} of {len(checks)} checks passed, and something else failed"
    return f"{passed} of {len(checks)} checks passed" + (f", {left} not run" if left else "")


def run_words(run: RunReport) -> str:
    """``finished at epoch 10 of 10, trained here``."""
    how = "trained here" if run.own else f"reused, trained {run.reused} UTC" if run.reused else "not trained"
    return f"{run.ended.removeprefix('run ') or run.status}, {how}"


def about(report: SessionReport) -> str:
    """``2 suites · 3 runs · 3 min 02 s``."""
    runs = sum(len(suite.runs) for suite in report.suites)
    parts = [f"{len(report.suites)} suite{'s' * (len(report.suites) != 1)}", f"{runs} run{'s' * (runs != 1)}"]
    return " · ".join([*parts, duration(report.seconds)])
