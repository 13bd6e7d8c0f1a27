"""schedule_wrong: the learning rate does not go the way it was meant to."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import coded, found
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import cosine, rates
from lvmcheck.checks.finding import Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import case_run


class ScheduleWrong(Cause):
    """The learning rate never decays though a decay is declared, or goes up and down, or rises to the end."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        for (check, code), (phrase, fix) in WATCHED.items():
            measured = coded(evidence, check, code)
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
    ("warm_up_ends", "still_warming_up"): (
        "the warm-up is longer than the run: the learning rate ends at {still_warming_up} of its full value",
        "make the warm-up a few percent of the steps that the run has",
    ),
    ("warm_up_ends", "never_warm"): (
        "the schedule never gets near the optimizer's learning rate: at most {never_warm} of it was measured",
        "make the warm-up a few percent of the steps that the run has, and begin the decay after it",
    ),
    ("scheduler_steps", "goes_up_again"): (
        "the schedule is shorter than the run: it was made for {horizon} steps, was stepped {goes_up_again} times, and "
        "goes up again after each cycle",
        "set T_max to the number of calls of scheduler.step; CosineAnnealingWarmRestarts says that restarts are meant",
    ),
    ("plateau_mode_fits", "mode_reversed"): (
        'ReduceLROnPlateau has the mode "{mode}" for a metric that goes the other way',
        "set mode to the direction of the metric that scheduler.step is given",
    ),
}
"""Check of a watched loop and code of its finding that mean a wrong schedule: what is said of it, and what to do."""
PHRASES = {
    "begins_anew": "optimizer and scheduler are made anew in every epoch: the learning rate falls back each time",
    "never_decayed": "the scheduler is never stepped: {declared} is declared, and the learning rate is constant",
    "swings": "the learning rate swings {swings} times with a period of {period}",
    "warm_up_never_ends": "the warm-up of {warm_up} is not over at the end: the scheduler is stepped too rarely",
    "rises_to_the_end": "the learning rate rises from {first} to the end of the run",
}


PASSES = (
    case("constant_undeclared", rates([1e-3] * 20)),
    case("declared_and_done", rates(made.lines(20, 1e-3, 1e-5), scheduler="linear")),
)
FAILS = (
    case("made_anew", rates(made.lines(20, 1e-4, 8e-4) * 5, per_epoch=20, epochs=5), Standing.MEASURED),
    case("never_stepped", rates([1e-3] * 20, scheduler="cosine"), Standing.MEASURED),
    case(
        "goes_up_again",
        case_run(
            "schedule",
            [{"scheduler_steps": 8.0, "optimizer_steps": 176.0, "epochs": 8.0, "horizon": 2.0, "over": 1.0}],
            ["CosineAnnealingLR"],
        ),
        horizon=2.0,
    ),
    case("stepped_once_a_batch", rates(cosine(100, 20), epochs=10), period=20.0),
)
