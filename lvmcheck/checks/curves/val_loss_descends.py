"""val_loss_descends: the validation loss falls, and keeps what it won."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.baselines import baselines
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete, not_at_end, not_finite
from lvmcheck.run.view import Run, run_from

SMOOTH_FROM = 6
"""Epochs from which the end is the median of the last three values rather than the last one."""


@dataclass(frozen=True, kw_only=True)
class ValLossDescends(Check):
    """The validation loss fell by more than `tolerance` (relative), and gave back at most `give_back` of its fall.

    Fall: from the first epoch to the lowest. Given back: from the lowest to the end, where the end is the median of
    the last three epochs (the last one in runs of fewer than six). A rise of at most `tolerance` of the lowest value
    is always allowed. Judged when the last planned epoch has ended.

    Why:
    A loss that is at its best in the first epochs and climbs from there is being optimised for something else, or
    memorises. Strict monotony is no criterion: the best AMN on record rises 4 times in 20 epochs, by at most 0.066 %,
    and healthy runs end up to 28 % of their fall above their lowest epoch (LSTM, 80k). Attempt 2 on the 790k corpus
    gave back 85 % of the little it had won, the October 13 LSTM 63 %; healthy AMN runs 1 to 5 %.

    Usual causes:
    - The optimised loss is dominated by a term that is blind to what validation measures (see loss_balance).
    - The model memorises: few sequences, many parameters, too many epochs without early stopping.
    - The learning rate is too high for the end of the run, with no decay.
    - The loss is a constant or was computed on the wrong set (see val_loss_moves).

    Fix:
    Find the epoch of the lowest value in the message. Very early: look at the loss terms first, then at the gap of
    train and validation cosine. Late: stop there, or decay the learning rate.

    Healthy runs that must pass:
    Four rises of 0.066 %; a noisy loss on a small validation set (the end is a median, and noise is small against the
    fall); a long plateau before a drop; a cosine restart that ends in its valley; a run that starts at its optimum.

    Source:
    Recorded histories of the original project; the best run on record rises 4 times.
    """

    metric: str = "val_loss"
    tolerance: float = 0.001
    give_back: float = 0.5

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)
        check_number("give_back", self.give_back, 0.0, 1.0)

    def detail(self) -> str:
        return self.metric

    def judge(self, run: Run) -> Outcome:
        absent = missing_metric(run, self.metric)
        if absent is not None:
            return absent
        series = run.series(self.metric)
        broken = not_finite(series)
        if broken is not None:
            return broken
        if not len(series) or not complete(run):
            return awaiting(run, f"the trend of {self.metric}", evaluated=max(len(series) - 1, 0))
        cut = not_at_end(run, series)
        if cut is not None:
            return cut
        if len(series) < 2:
            return not_recorded(f"{self.metric} is recorded once: one epoch has no trend")
        return self._trend(run, series.values.tolist(), series.epochs.tolist())

    def _trend(self, run: Run, values: list[float], epochs: list[int]) -> Outcome:
        end = statistics.median(values[-3:]) if len(values) >= SMOOTH_FROM else values[-1]
        lowest = min(values)
        fall, rise = values[0] - lowest, end - lowest
        slack = self.tolerance * abs(lowest)
        share = rise / fall if fall > 0 else float("inf") if rise > 0 else 0.0
        fell = fall > self.tolerance * abs(values[0]) or self._at_optimum(run, lowest)
        kept = rise <= slack or share <= self.give_back
        rises = sum(after > before for before, after in pairwise(values))
        # A share within its bound is no miss where the loss never fell, nor one beyond it where the rise is tiny.
        bounds = (ceiling(self.give_back),) if fall > 0 and (share <= self.give_back) is (fell and kept) else ()
        finding = Finding(
            code="fell_and_kept" if fell and kept else "gave_back" if fell else "never_fell",
            metric=self.metric,
            measured=share if fall > 0 else None,
            bounds=bounds,
            epoch=epochs[-1],
            evidence=(
                Fact("first", values[0], epoch=epochs[0]),
                Fact("lowest", lowest, epoch=epochs[values.index(lowest)]),
                Fact("end", end),
                Fact("rises", rises),
            ),
            phrase="share of its fall that {metric} gave back {measured}"
            if fall > 0
            else "{metric} never fell: {first} at first, {end} at the end",
        )
        return (passed if fell and kept else failed)(finding, evaluated=len(values) - 1)

    def _at_optimum(self, run: Run, lowest: float) -> bool:
        """Nothing was left to fall: zero, or what the best possible predictor of this data has."""
        optimum, dim = baselines(run, "val_cosine").get("optimum"), run.facts.get("dim")
        floor = 2 * (1 - optimum) / dim if optimum is not None and isinstance(dim, int) and dim > 0 else 0.0
        return abs(lowest) <= 1e-12 or lowest <= floor * 1.01


_case = made.Cases(ValLossDescends())
_NOISY = [0.0012 - 0.00001 * i + (3e-6 if i % 2 else -3e-6) for i in range(12)]

PASSES = (
    _case("perfect_oracle", {"val_loss": [0.0, 0.0, 0.0]}),
    _case("amn_584k_rises_4_times", made.val_run(made.AMN_584K_VAL), rises=4),
    _case("attempt_1_descends_on_scrambled_data", made.val_run(made.AMN_790K_1_VAL)),
    _case("amn_232k_ends_above_its_best", made.val_run(made.lines(20, 0.5307, 0.5613, 0.5645, 0.5638))),
    _case("noisy_small_validation_set", {"val_loss": _NOISY}),
    _case("plateau_and_then_a_drop", {"val_loss": [1.0] * 8 + [0.4, 0.3, 0.29]}),
    _case("starts_at_its_optimum", made.val_run([0.641] * 4, facts=made.TWIN_FACTS)),
)
FAILS = (
    _case("attempt_2", made.val_run(made.AMN_790K_2_VAL), "gave_back"),
    _case("constant", {"val_loss": [2.5] * 10}, "never_fell"),
    _case("best_at_epoch_1", made.val_run(made.lines(20, 0.4118, 0.4051))),
    _case("infonce_with_a_little_mse", made.val_run(made.lines(20, 0.4116, 0.4147, 0.4050))),
    _case("nan", run_from({"val_loss": [1.0, float("nan"), 0.5]}, over=False), "not_finite", epoch=2),
)
