"""schedule_wrong: the learning rate does not go the way it was meant to."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.curves._signs import found
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import cosine, rates
from lvmcheck.checks.finding import Status
from lvmcheck.checks.shared import cases as made


class ScheduleWrong(Cause):
    """The learning rate never decays though a decay is declared, or goes up and down, or rises to the end."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        for check, (phrase, fix) in WATCHED.items():
            measured = evidence.failed(check)
            if measured is not None:
                return found(
                    self,
                    Standing.MEASURED,
                    phrase,
                    finding_facts(measured),
                    fix=fix,
                    explain=check,
                    explains=(check, "schedule_shape", "schedule_ended_early", "nothing_learned", "learns_slowly"),
                )
        finding = evidence.failed("schedule_shape")
        if finding is None:
            return None
        sure = evidence.outcome("schedule_shape").status is Status.FAILED
        anew = finding.code == "begins_anew"
        torn = finding.code == "rises_to_the_end" and evidence.failed("loss_diverging") is not None
        return found(
            self,
            Standing.MEASURED if sure else Standing.LIKELY if torn else Standing.CONSISTENT,
            PHRASES[finding.code],
            finding_facts(finding),
            fix="step the scheduler once in each unit of its length: optimizer steps or epochs",
            explain="schedule_shape",
            explains=("nothing_learned", "learns_slowly", *(("loss_diverging", "overfits") if torn else ())),
            also=("weights_reset",) if anew else (),
            tell_apart="print one weight at the end of an epoch and at the beginning of the next"
            if anew
            else ""
            if sure
            else "if cycles or a rising rate are meant, declare them: config scheduler = 'cyclic'",
        )


WATCHED = {
    "warm_up_ends": (
        "the warm-up is longer than the run: the learning rate ends at {still_warming_up} of its own",
        "make the warm-up a few percent of the steps that the run has",
    ),
    "plateau_mode_fits": (
        'ReduceLROnPlateau has the mode "{mode}" for a metric that goes the other way',
        "set mode to the direction of the metric that scheduler.step is given",
    ),
}
"""Checks of a watched loop that find a wrong schedule: what is said of it, and what to do."""
PHRASES = {
    "begins_anew": "optimizer and scheduler are made anew in every epoch: the learning rate falls back each time",
    "never_decayed": "the scheduler is never stepped: {declared} is declared, and the learning rate is constant",
    "swings": "the learning rate swings {swings} times with a period of {period}",
    "warm_up_never_ends": "the warm-up of {warm_up} is not over at the end: the scheduler is stepped too rarely",
    "rises_to_the_end": "the learning rate rises from {first} to the end of the run",
}


PASSES: Sequence[CauseCase] = (
    CauseCase(name="constant_undeclared", run=rates([1e-3] * 20)),
    CauseCase(name="declared_and_done", run=rates(made.lines(20, 1e-3, 1e-5), scheduler="linear")),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="made_anew", run=rates(made.lines(20, 1e-4, 8e-4) * 5, per_epoch=20, epochs=5), standing=Standing.MEASURED
    ),
    CauseCase(name="never_stepped", run=rates([1e-3] * 20, scheduler="cosine"), standing=Standing.MEASURED),
    CauseCase(name="stepped_once_a_batch", run=rates(cosine(100, 20), epochs=10), facts={"period": 20.0}),
)
