"""A live look at the last events says nothing that a look at all events does not."""

from __future__ import annotations

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import load_check, verdict
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run
from lvmcheck.watch.live import Live

BEGINNING = [6.09, 4.26, 0.363, 0.0038, 5.74, 35.3, 0.0529, 0.419, 10.4, 0.946, 0.914, 1.02, 1.01, 0.794]


def found(norms: list[float]) -> tuple[list[str], Status]:
    """What is found live, and what once the run has ended."""
    events = tuple(Watch(name="gradient_norm", epoch=1, step=n, values={"norm": x}) for n, x in enumerate(norms, 1))
    live = Live(None)
    for event in events:
        live.measured(event)
    whole = verdict(load_check("gradient_norm_steady")(), Run(events=events, done={"status": "finished"}))
    return [one.check for one in live.verdicts if one.check == whole.check], whole.status


def test_a_window_that_begins_where_the_tail_does_is_not_judged() -> None:
    assert found([*BEGINNING, *[1.0, 0.9] * 30]) == ([], Status.PASSED)


def test_leaps_are_found_live_and_afterwards() -> None:
    assert found([*[1.0, 0.9] * 30, 50.0, 1.0, 90.0, 1.0, 200.0]) == (["gradient_norm_steady"], Status.FAILED)
