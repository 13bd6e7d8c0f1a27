"""val_loss_moves: the validation loss is measured, not a constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, passed
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, by_epoch, check_count, complete, not_at_end, not_finite
from lvmcheck.run.view import Run, Series, run_from

FULL_PRECISION = 7
"""Significant digits from which two equal values are no coincidence of rounding."""


@dataclass(frozen=True, kw_only=True)
class ValLossMoves(Check):
    """The validation loss is not the same number, to the last bit, in `epochs` consecutive epochs of real training.

    Epochs count as real training when the train loss moved between them (or is not recorded), and a learning rate
    above 0 was used (in any window of the epoch; without windows, at the end of either epoch). Where the record is
    rounded to fewer than 7 digits, equal neighbours are expected on a plateau, and only a run that never had another
    value fails.

    Why:
    A validation loss that never moves is not a validation loss. One trainer of the original project returned the
    literal 2.5 when it had no validation set; ten epochs were trained, the best checkpoint stayed that of epoch 1, and
    reports praised that "validation tracks training".

    Usual causes:
    - There is no validation set, and a default value is returned.
    - The validation loop evaluates another model object or an old copy of the weights (an EMA that is never updated).
    - The result is cached, or the metric is computed once before the loop.
    - The weights that validation sees are not in the optimizer.

    Fix:
    Evaluate the model on two batches before and after one optimizer step and compare. Search the trainer for the
    constant itself.

    Healthy runs that must pass:
    A plateau in a history that is rounded to four digits; epochs with learning rate 0; a finished model whose loss is
    0 in training and validation.

    Source:
    Seed document cognate_phase1_training_failure: val loss 2.5 in every epoch.
    """

    metric: str = "val_loss"
    epochs: int = 2

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs, low=2)

    def detail(self) -> str:
        return self.metric

    def judge(self, run: Run) -> Outcome:
        absent = missing_metric(run, self.metric)
        if absent is not None:
            return absent
        series = run.series(self.metric)
        stuck, compared = self._first_constant(run, series)
        broken = not_finite(series, until=stuck)
        if broken is not None:
            return broken
        if stuck is not None:
            return failed(self._finding(series, stuck), evaluated=compared)
        if not len(series) or not complete(run):
            return awaiting(run, f"all values of {self.metric}", evaluated=compared)
        cut = not_at_end(run, series)
        if cut is not None:
            return cut
        if not compared:
            return not_applicable(f"no two epochs of {self.metric} with training between them")
        return passed(self._finding(series, len(series) - 1), evaluated=compared)

    def _first_constant(self, run: Run, series: Series) -> tuple[int | None, int]:
        """Index of the epoch that completes a constant stretch, and the number of pairs compared."""
        values, epochs = series.values.tolist(), series.epochs.tolist()
        train, idle = by_epoch(run, "train_loss"), _idle(run)
        seen: set[float] = set()
        digits, same, compared = 0, 1, 0
        for i, value in enumerate(values):
            seen.add(value)
            digits = max(digits, len(f"{value!r}".partition("e")[0].replace(".", "").lstrip("-0")))
            if i == 0 or not _trained(train, idle, epochs[i - 1], epochs[i]):
                continue
            compared += 1
            same = same + 1 if value == values[i - 1] else 1
            if same >= self.epochs and (digits >= FULL_PRECISION or len(seen) == 1):
                return i, compared
        return None, compared

    def _finding(self, series: Series, index: int) -> Finding:
        values = series.values.tolist()[: index + 1]
        distinct = len(set(values))
        before = values[-2] if len(values) > 1 else None
        return Finding(
            code="constant" if values[-1] == before else "moves",
            metric=self.metric,
            measured=distinct,
            epoch=int(series.epochs[index]),
            evidence=(Fact("value", values[-1]), Fact("value_before", before), Fact("epochs", len(values))),
            phrase="{metric} has {measured} different values in {epochs} epochs",
        )


def _idle(run: Run) -> set[int]:
    """Epochs in which every recorded learning rate was 0, so that no weight can have moved."""
    seen = [(window.epoch, window.lr) for window in run.windows if window.lr is not None]
    if seen:
        return {epoch for epoch, _ in seen} - {epoch for epoch, lr in seen if lr != 0}
    ends = by_epoch(run, "lr")  # a schedule may end an epoch at 0 after it has trained: both neighbours must be 0
    return {epoch for epoch, lr in ends.items() if lr == 0 and ends.get(epoch - 1) == 0}


def _trained(train: Mapping[int, float], idle: set[int], before: int, after: int) -> bool:
    """Whether weights can have changed between the validations of two epochs, as far as the record tells."""
    if idle.issuperset(range(before + 1, after + 1)):
        return False
    first, second = train.get(before), train.get(after)
    return first is None or second is None or first != second


_case = made.Cases(ValLossMoves())
_FALLING = [1.0 / (i + 1) for i in range(6)]

PASSES = (
    _case("perfect_oracle", {"train_loss": [0.1234567, 1e-9, 0.0, 0.0], "val_loss": [0.1134567, 1e-9, 0.0, 0.0]}),
    _case(
        "amn_584k_rounded",
        made.val_run(
            made.AMN_584K_VAL,
            val_loss=[round(loss, 7) for loss in made.mse_of(made.AMN_584K_VAL)],
            train_loss=[0.0011 - i * 1e-6 for i in range(20)],
        ),
    ),
    _case("rounded_plateau", {"val_loss": [2.51, 2.4, 2.4, 2.4, 2.39], "train_loss": _FALLING[:5]}),
    _case(
        "warm_up_with_learning_rate_0",
        {"val_loss": [0.7312345, 0.7312345, 0.61], "train_loss": [0.7, 0.71, 0.6], "lr": [0.0, 0.0, 1e-3]},
    ),
)
FAILS = (
    _case(
        "the_literal_2.5",
        run_from({"train_loss": made.COGNATE_TRAIN_LOSS[:2], "val_loss": [2.5] * 2}, over=False),
        "constant",
        value=2.5,
    ),
    _case("stuck_later", {"val_loss": [0.91234567, 0.81234567, 0.81234567, 0.7], "train_loss": _FALLING[:4]}, epoch=3),
    _case(
        "stuck_under_a_schedule_that_ends_at_0",
        {"val_loss": [0.7312345, 0.7312345], "train_loss": [0.7, 0.6], "lr": [5e-4, 0.0]},
        epoch=2,
    ),
    _case("nothing_else_recorded", {"val_loss": [2.5] * 3}),
    _case("nan", {"val_loss": [0.5, float("nan")]}, "not_finite"),
)
