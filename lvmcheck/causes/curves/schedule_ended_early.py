"""schedule_ended_early: the learning rate is at its end while much of the run is ahead."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.curves._signs import found
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import rates
from lvmcheck.checks.shared import cases as made


class ScheduleEndedEarly(Cause):
    """The schedule is shorter than the run: its last part trains with a learning rate of nothing."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("schedule_ended_early")
        if finding is None:
            return None
        return found(
            self,
            Standing.MEASURED,
            "the schedule ended early: {planned_over_schedule} as many steps were planned as it lasts",
            finding_facts(finding),
            fix="give the schedule the number of optimizer steps, and step it once after each optimizer.step(); a "
            "whole factor "
            "is the number of processes, accumulated batches, or steps of an epoch",
            explain="schedule_ended_early",
            explains=("schedule_shape", "metric_constant", "nothing_learned"),
        )


_DOWN = made.lines(20, 1e-3, 0.0)
PASSES: Sequence[CauseCase] = (
    CauseCase(name="ends_with_the_run", run=rates(_DOWN)),
    CauseCase(name="floor", run=rates([*made.lines(20, 1e-3, 1e-4), *[1e-4] * 30])),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="eight_processes",
        run=rates([*_DOWN, *[0.0] * 140]),
        standing=Standing.MEASURED,
        facts={"planned_over_schedule": 8.0},
    ),
    CauseCase(name="planned_longer", run=rates([*_DOWN, *[0.0] * 20], epochs=8)),
)
