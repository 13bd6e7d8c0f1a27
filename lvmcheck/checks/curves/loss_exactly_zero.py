"""loss_exactly_zero: the loss does not become 0.0 from one step to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, accuracies, concluded, found_at, place_fact, share
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import AS_RECORDED
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.view import Run

SMALL = 1e-3
"""Share of its first value below which a loss may round to 0."""
LEAST = 2
"""Values of exactly 0 at the end."""
ROUNDING = 1e-6
"""Size below which a loss that is 0 or less somewhere, and never larger, is 0 but for rounding."""
STEPS, TINY, POOR = 10, 1e-2, 0.5
"""First steps of which half are exactly 0, size of the others, and accuracy below which there was much to learn."""


@dataclass(frozen=True, kw_only=True)
class LossExactlyZero(CurveCheck):
    """The training loss is not exactly 0.0 at the end, unless it was a thousandth of its first value before.

    A loss that is 0.0 from its first value on, or 0 but for rounding, warns, since it may be a hinge that is satisfied,
    and fails where every gradient norm is 0 as well. So does a loss that is 0 in most of its first ten steps and below
    a hundredth in the others, while an accuracy stays below a half.

    Why:
    Trainers that filter NaN log 0.0 in its place: weights are lost, and the log looks perfect. A loss that is not
    computed for some batches (all labels ignored) is 0.0, too.

    Usual causes:
    - The loss became NaN and was replaced by 0.0 (logging_nan_inf_filter of the Hugging Face Trainer).
    - All labels of a batch are ignored, or a mask is empty.
    - A term or the whole loss is multiplied by a weight that became 0.

    Fix:
    Log the raw loss, and look at the first step in the message. Turn the filter off, or use
    torch.autograd.set_detect_anomaly for a hundred steps before it.

    Healthy runs that must pass:
    A loss that falls below the smallest number of its format; a hinge that is satisfied more and more often.

    Source:
    Severity: fails, since no loss goes from large to exactly 0 by
    learning.
    """

    exempt = AS_RECORDED

    def judge_ended(self, run: Run) -> Outcome:
        losses = [c for c in (run.curves.train, run.curves.epoch_losses) if c is not None]
        curves = [c for c in losses if len(c) > LEAST]
        if not curves:
            return not_recorded("no training loss is recorded three times")
        for curve in curves:
            start = _zero_from(curve)
            if start is None or (start == 0 and curve is not curves[0]):
                continue  # an epoch that begins after the loss has got to 0 has seen no fall
            finding = _finding("exactly_zero", curve, start)
            norm = run.curves.gradient
            silent = norm is not None and len(norm) > LEAST and not norm.values.any()
            if start == 0 and not silent:
                return warning(finding, evaluated=len(curve))
            return failed(finding, evaluated=len(curve))
        solved = next((curve for curve in curves if _solved_at_once(curve)), None)
        if solved is not None and any(float(share(curve).max()) < POOR for curve in accuracies(run)):
            return failed(_finding("zero_at_once", solved, 0), evaluated=len(solved))
        return concluded(_finding("not_zero", curves[0], 0), losses, evaluated=len(curves[0]))


def _solved_at_once(curve: Curve) -> bool:
    """Whether the first steps, which know nothing, leave nothing to learn."""
    values = curve.values[:STEPS]
    early = curve.by_step and len(values) == STEPS and float(values.min()) >= 0
    return early and float((values == 0).mean()) >= 0.5 and float(values.max()) <= TINY


def _zero_from(curve: Curve) -> int | None:
    """Index of the first of the zeros that the curve ends with, where it was not small before."""
    values = curve.values
    if float(np.abs(values).max()) < ROUNDING and float(values.min()) <= 0:
        return 0  # what is 0 for every input comes out on both sides of it
    other = np.flatnonzero(values)
    if not len(other):
        return 0
    start = int(other[-1]) + 1
    if len(values) - start < LEAST:
        return None
    before = values[max(0, start - 5) : start]
    usual = float(np.median(np.abs(before)))
    return start if usual > SMALL * float(np.abs(values[:start]).max()) else None


def _finding(code: str, curve: Curve, start: int) -> Finding:
    zero = code == "exactly_zero"
    before = (place_fact("before", curve, start - 1),) if zero and start else ()
    return found_at(
        curve,
        start if zero else len(curve) - 1,
        code,
        float(curve.values[start if zero else -1]),
        evidence=(*before, Fact("values", len(curve) - start)),
        phrase=_PHRASES.get(code, ""),
    )


_PHRASES = {
    "exactly_zero": "{metric} is exactly 0.0 in {values} values to the end",
    "zero_at_once": "{metric} is 0.0 in most of its first ten steps, and no accuracy gets to a half",
}


_case = made.Cases(LossExactlyZero())
_FALL = made.lines(20, 2.3, 0.4)


def _scored(losses: Sequence[float], accuracy: float) -> Run:
    run = made.window_run([*losses, *losses])
    score = {"recall_at_1": accuracy}
    return Run(
        events=tuple(replace(e, metrics={**e.metrics, **score}) if isinstance(e, ev.Epoch) else e for e in run.events),
        info=run.info,
        done=run.done,
    )


PASSES = (
    _case("triplets_of_a_trained_model", _scored([0.0, 0.0, 0.0, 2e-4, 0.0, *[0.0, 3e-5] * 10], 0.93)),
    _case("perfect_oracle", {"train_loss": [1e-3, 1e-6, 1e-8, 0.0, 0.0]}),
    _case("amn_584k", made.window_run(_FALL)),
    _case("underflows", made.window_run([2.0 * 0.5**i for i in range(20)] + [0.0] * 10)),
    _case("one_easy_batch", made.window_run([0.9, 0.4, 0.0, 0.3, 0.0, 0.1, 0.05, 0.0, 0.02])),
)
FAILS = (
    _case("nan_filtered", made.window_run([*_FALL, *[0.0] * 10]), "exactly_zero", before=0.4),
    replace(
        _case("compared_with_itself", made.window_run([-1.2e-7, -6e-9, 3.5e-8, -1e-8, 0.0, 4e-8])),
        status=Status.WARNING,
    ),
    _case("zero_at_once", _scored([0.0, 0.0, 0.0, 2e-4, 0.0, 0.0, 1e-4, *[0.0, 3e-5] * 10], 0.12), "zero_at_once"),
    _case("by_epoch", {"loss": [2.0, 1.5, 1.2, 0.0, 0.0, 0.0]}, epoch=4),
)
