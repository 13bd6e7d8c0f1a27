"""interrupted: the run ended before it was done."""

from __future__ import annotations

from dataclasses import replace

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import found
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run


class Interrupted(Cause):
    """The run crashed or was interrupted; its figures end there."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("run_completed")
        if finding is None or not (evidence.run.step or evidence.run.last_epoch):
            return None
        planned = evidence.run.stated_epochs
        return found(
            self,
            Standing.LIKELY,
            "the run ended after {epochs_done}" if evidence.run.last_epoch else "the run ended after {steps_done}",
            (
                Fact("epochs_done", evidence.run.last_epoch, "epochs"),
                Fact("steps_done", evidence.run.step, "steps"),
                *([Fact("epochs_planned", planned, "epochs")] if planned else []),
                *finding.evidence,
            ),
            fix="read the reason, and continue from the last checkpoint",
            explain="run_completed",
            explains=(),
        )


def _ended(status: str, reason: str) -> Run:
    run = made.window_run(made.lines(40, 2.3, 0.4))
    return replace(run, done={"status": status, "reason": reason})


PASSES = (
    case("finished", made.window_run(made.lines(40, 2.3, 0.4))),
    case("stopped_as_asked", _ended("stopped", "early stopping")),
)
FAILS = (
    case("crashed", _ended("failed", "RuntimeError: CUDA out of memory"), epochs_done=4),
    case("by_the_keyboard", _ended("interrupted", "the keyboard")),
)
