"""schedule_ended_early: the learning rate is at its end while much of the run is ahead."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import found
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import rates
from lvmcheck.checks.shared import cases as made


class ScheduleEndedEarly(Cause):
    """The schedule is shorter than the run: the last part trains with a learning rate of almost 0."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("schedule_ended_early")
        if finding is None:
            return None
        if finding.code == "weights_rest":
            return found(
                self,
                Standing.LIKELY,
                "the weights stopped moving long before the end: the learning rate decayed to nothing",
                finding_facts(finding),
                fix="record the learning rate; a decay factor is meant per epoch or per step, not both",
                explain="schedule_ended_early",
                explains=("metric_constant", "nothing_learned", "learns_slowly"),
                also=("learning_rate_zero", "weights_never_move", "schedule_wrong"),
                tell_apart="print(optimizer.param_groups[0]['lr']) in every epoch",
            )
        return found(
            self,
            Standing.MEASURED,
            "the learning rate has decayed to less than a hundredth long before the end, and nothing more is learned"
            if finding.code == "low_for_long"
            else "the schedule ended early: {planned_over_schedule} as many steps were planned as it lasts",
            finding_facts(finding),
            fix="give the schedule the number of optimizer steps, and step it once after each optimizer.step(); a "
            "whole factor "
            "is the number of processes, accumulated batches, or steps of an epoch",
            explain="schedule_ended_early",
            explains=("schedule_shape", "metric_constant", "nothing_learned"),
        )


_DOWN = made.lines(20, 1e-3, 0.0)
PASSES = (
    case("ends_with_the_run", rates(_DOWN)),
    case("floor", rates([*made.lines(20, 1e-3, 1e-4), *[1e-4] * 30])),
)
FAILS = (
    case(
        "without_a_rate",
        {
            "train_loss": [0.38 + 0.003 * ((i * 7) % 5) for i in range(30)],
            "val_loss": [value / 3 for value in (1.029, 1.0065, 1.0072, *[1.0074] * 27)],
        },
        Standing.LIKELY,
    ),
    case("eight_processes", rates([*_DOWN, *[0.0] * 140]), Standing.MEASURED, planned_over_schedule=8.0),
    case(
        "stairs_of_batches",
        rates([1e-3 * 0.3 ** (i // 20) for i in range(240)]).extended(made.window_run([4.5] * 240, steps=1).windows),
    ),
    case("planned_longer", rates([*_DOWN, *[0.0] * 20], epochs=8)),
)
