"""What a suite's entry makes of its check's answer."""

from __future__ import annotations

from dataclasses import replace

from lvmcheck.checks.finding import Outcome, Status, Why, error, not_applicable, pending
from lvmcheck.checks.foreign import LIMIT
from lvmcheck.checks.protocol import judge
from lvmcheck.run.view import Run
from lvmcheck.suite.model import CheckEntry


def judge_entry(entry: CheckEntry, run: Run, *, limit: float = LIMIT) -> Outcome:
    """The settled outcome of one suite entry on a run so far, before what the entry expects of it.

    Args:
        limit: seconds that a check of the user's own may take.
    """
    if entry.calibrated_on is not None:
        if run.data_name is None:
            return pending("the name of the data") if not run.over else _unknown_data(entry, run, limit)
        if run.data_name != entry.calibrated_on:
            return not_applicable(
                f"its bound was chosen on {entry.calibrated_on!r} and this run uses {run.data_name!r}; "
                "the floors that come from the data decide instead",
                Why.OTHER_DATA,
            )
    outcome = judge(entry.check, run, limit=limit)
    if outcome.status is Status.NOT_RECORDED and outcome.why is not Why.NOT_IN_FORMAT:  # asked for, and not there
        return replace(outcome, status=Status.ERROR)
    if entry.abort and outcome.status is Status.FAILED:
        return replace(outcome, abort=True)
    return outcome


def _unknown_data(entry: CheckEntry, run: Run, limit: float) -> Outcome:
    """A measurement on data without a name is neither a pass nor a fail of a bound that was chosen on others."""
    outcome = judge(entry.check, run, limit=limit)
    if outcome.finding is None:
        return outcome
    return error(
        f"its bound was chosen on {entry.calibrated_on!r} and this run does not say what its data are", Why.OTHER_DATA
    )
