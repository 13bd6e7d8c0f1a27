"""evaluated_weights_are_saved: the best checkpoint is that of the best epoch, with the weights it was chosen by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, facts, not_recorded
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete, not_at_end, not_finite
from lvmcheck.errors import BadValueError
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class EvaluatedWeightsAreSaved(Check):
    """The metric that chose the checkpoint `checkpoint`, that of its epoch, and that of the file loaded afresh agree.

    The epoch named by the last checkpoint event of that name has the lowest `metric` of the run, and the evaluation
    "reload" about that checkpoint repeats the metric of that epoch, to `tolerance` relative. reload_agrees asks whether
    a file repeats what was written into it; this asks whether what was written is what was validated.

    Why:
    Averaged weights that are validated and raw weights that are saved make two models: the one that was chosen and the
    one that is used. The original project validated an EMA of the weights from December on and stored the raw ones;
    before that its validation loss was a constant, and the best checkpoint stayed that of epoch 1.

    Usual causes:
    - An EMA (or SWA) is validated and not saved.
    - The checkpoint is written before the last step or after the next one.
    - The best epoch is chosen by another metric, by a constant, or by its maximum where the minimum is wanted.

    Fix:
    Save the state that was validated, in the same function that validates it. If both are wanted, save both by name.

    Healthy runs that must pass:
    Rounding in the last digits; a last epoch that is worse than the best.

    Source:
    history 13 (EMA .999 used for validation, raw weights stored).
    """

    metric: str = "val_loss"
    checkpoint: str = "best"
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)
        if not self.checkpoint:
            raise BadValueError("checkpoint", "expected a name, got an empty string")

    def detail(self) -> str:
        return "" if self.checkpoint == "best" else self.checkpoint

    def judge(self, run: Run) -> Outcome:
        absent = missing_metric(run, self.metric)
        if absent is not None:
            return absent
        if not run.finished or not complete(run):  # the files are loaded afresh after the last epoch
            return awaiting(run, "the checkpoints to be loaded afresh")
        series = run.series(self.metric)
        broken = not_finite(series) or not_at_end(run, series)
        if broken is not None:
            return broken
        saved = [event for event in run.of(ev.Checkpoint) if event.name == self.checkpoint]
        if not saved:
            return not_recorded(f"no checkpoint {self.checkpoint!r} is recorded")
        value = series.at(saved[-1].epoch)
        again = self._reloaded(run)
        if value is None or again is None:
            place = f"at epoch {saved[-1].epoch}" if value is None else "by an evaluation 'reload' of it"
            return not_recorded(f"{self.metric} of the checkpoint {self.checkpoint!r} is not recorded {place}")
        return settle(self._compare(saved[-1], value, again, float(series.values.min())))

    def _reloaded(self, run: Run) -> float | None:
        """The metric of the checkpoint loaded afresh."""
        values = [
            event.metrics[self.metric]
            for event in run.of(ev.Evaluation)
            if event.name == "reload" and self.metric in event.metrics and event.checkpoint == self.checkpoint
        ]
        return values[-1] if values else None

    def _compare(self, saved: ev.Checkpoint, value: float, again: float, lowest: float) -> list[Finding]:
        scale = max(abs(value), 1e-12)
        more = {
            "metric": self.metric,
            "epoch": saved.epoch,
            "evidence": facts(validated=value, after_loading=again, lowest_of_the_run=lowest),
        }
        phrase = "{metric} of the saved weights differs from that of the validated ones by a relative {measured}"
        found = [at_most("saved_differ", abs(again - value) / scale, self.tolerance, phrase=phrase, **more)]
        if self.checkpoint == "best":
            phrase = "{metric} of the best checkpoint is a relative {measured} above the lowest of the run"
            found.append(at_most("not_the_best", (value - lowest) / scale, self.tolerance, phrase=phrase, **more))
        return found


def _run(losses: Sequence[float], best: int, again: float) -> Run:
    """Validation losses by epoch, the epoch of the best checkpoint, and what its file gives when loaded."""
    run = language.epochs(*([] for _ in losses), metrics={"val_loss": losses})
    return run.extended(
        [
            ev.Checkpoint(name="best", path="best", epoch=best, step=100 * best),
            ev.Checkpoint(name="last", path="last", epoch=len(losses), step=100 * len(losses)),
            ev.Evaluation(name="reload", metrics={"val_loss": again}, checkpoint="best"),
            ev.Evaluation(name="reload", metrics={"val_loss": losses[-1]}, checkpoint="last"),
        ]
    )


_case = made.Cases(EvaluatedWeightsAreSaved())
_LOSSES = (2.1, 1.4, 1.2, 1.25)
PASSES = (
    _case("perfect_oracle", _run(_LOSSES, 3, 1.2)),
    _case("rounding", _run(_LOSSES, 3, 1.2000003)),
    made.case("the_last_one", EvaluatedWeightsAreSaved(checkpoint="last"), _run(_LOSSES, 3, 1.2)),
)
FAILS = (
    _case("ema_validated_raw_saved", _run(_LOSSES, 3, 1.31), "saved_differ", after_loading=1.31),
    _case("best_stuck_at_epoch_1", _run(_LOSSES, 1, 2.1), "not_the_best", epoch=1, lowest_of_the_run=1.2),
    _case("nan", _run(_LOSSES, 3, math.nan), measured=math.nan),
)
