"""never_negative: no loss or error that cannot be negative is recorded below 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.curves._curves import CurveCheck, concluded, improved
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import NOT_THE_MODEL, WEIGHTS, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run

_SQUARES = """mse rmse mae mape smape msle rmsle mase nrmse huber smoothl1 logcosh pinball crps ce bce crossentropy xent
logloss hinge wer cer eer brier ece"""
NEVER = frozenset(_SQUARES.split())
"""Words of losses and errors that are squares, absolute values, or surprises of discrete answers."""
DIVERGENCES = frozenset({"kl", "kld", "kldiv"})
"""Words of what cannot be negative either, but which some write as what they subtract."""
_OTHERS = """neg negative minus negated inverse log log10 db diff difference delta change improvement gain skill
advantage margin score reward signed bias approx g d gen generator disc discriminator critic fake real zscore
standardized standardised"""
TURNED = frozenset(_OTHERS.split())
"""Words beside which a name says nothing of the sign."""
SLACK, ESTIMATE = 1e-3, 0.1
"""Share of the largest size that is rounding, and what an estimate of a divergence may be below 0."""
DISTILLED, GROWN = 1.05, 10.0
"""What a loss of distillation, which may be a negative cosine, may be below 0; times that a divergence grows there."""


@dataclass(frozen=True, kw_only=True)
class NeverNegative(CurveCheck):
    """No squared or absolute error, no cross-entropy of classes, no pinball or Huber loss ends below 0.

    Known by name. The level is the median of the last quarter, and a thousandth of the largest value is rounding. Below
    0 it fails, and warns of training where a score of validation improves: then the name is wrong. A KL divergence
    below -0.1 warns, since some record what they subtract, and fails where it grows tenfold below 0; a loss of
    distillation fails below -1.

    Why:
    The name promises a number that has a lowest value. Where it is below that, something else was computed, and an
    optimizer follows it without end.

    Usual causes:
    - The sign of the loss or of a term is wrong; min stands for max in a pinball or hinge loss.
    - Targets of a binary cross-entropy are not between 0 and 1, or probabilities are not normalised.
    - Log-probabilities are given where probabilities are expected, or the reverse.

    Fix:
    Compute the loss of a perfect prediction by hand: it must be 0, and the lowest.

    Healthy runs that must pass:
    Log-likelihoods of densities; losses of adversaries; estimates of a divergence from samples next to 0; errors that
    are negated, differences or logarithms by name.

    Source:
    Definitions. Severity: fails, since no data make it so; warns for a divergence.
    """

    def judge_ended(self, run: Run) -> Outcome:
        curves = list(_known(run))
        if not curves:
            return not_recorded("no loss or error that cannot be negative is recorded by name")
        values = sum(map(len, curves))
        below = [curve for curve in curves if _level(curve) < -_slack(curve)]
        scores = [score for score in run.curves.scores if score.role.split is Split.VALIDATION]
        learns = any(improved(score) and all(score.name != curve.name for curve in below) for score in scores)
        evaluated = next((curve for curve in below if curve.role.split is Split.VALIDATION), None)
        if evaluated is None and below and learns:
            return warning(_finding("named_so", below[0]), evaluated=values)
        if evaluated is not None and learns and NEVER & set(words(evaluated.name)):
            return failed(_finding("computed_so", evaluated), evaluated=values)
        for curve in below:
            if NEVER & set(words(curve.name)) or _endless(curve):
                return failed(_finding("negative", curve), evaluated=values)
        if below:
            return warning(_finding("divergence_negative", below[0]), evaluated=values)
        return concluded(_finding("not_negative", curves[0]), curves, evaluated=values)


def _known(run: Run) -> Iterator[Curve]:
    for name in run.curves.roles:
        said = set(words(name))
        found = run.curves.by_epoch.get(name) or run.curves.by_step.get(name)
        divergence = bool(DIVERGENCES & said) or said >= {"kd", "loss"}
        divergence = divergence and not run.curves.rewards  # of a policy it is an estimate
        if found is not None and (NEVER & said or divergence) and not (TURNED | WEIGHTS | NOT_THE_MODEL) & said:
            yield found


def _level(curve: Curve) -> float:
    return float(np.median(curve.values[-max(1, len(curve) // 4) :]))


def _endless(curve: Curve) -> bool:
    """Whether what may be written with another sign is still driven from 0."""
    if "kd" in words(curve.name):
        return True  # its slack is that of a negative cosine
    part = len(curve) // 4
    early = float(np.median(curve.values[part : 2 * part])) if part else 0.0
    return part > 0 and _level(curve) < GROWN * min(early, -ESTIMATE)


def _slack(curve: Curve) -> float:
    said = set(words(curve.name))
    least = 0.0 if said & NEVER else DISTILLED if "kd" in said else ESTIMATE
    return max(least, SLACK * float(np.abs(curve.values).max()))


def _finding(code: str, curve: Curve) -> Finding:
    return Finding(
        code=code,
        metric=curve.name,
        measured=_level(curve),
        bounds=(floor(-_slack(curve), "its definition"),),
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(Fact("first", float(curve.values[0])), Fact("last", float(curve.values[-1]))),
        phrase="" if code == "not_negative" else "{metric} is {measured} at its end, and cannot be negative",
    )


_case = made.Cases(NeverNegative())
PASSES = (
    _case("perfect_oracle", {"train_mse": [0.0] * 5, "val_ce": [0.0] * 5}),
    _case("rounding", {"train_mse": [1.0, 0.1, -1e-9], "kl": [0.0, -0.02, -0.01]}),
    _case("density", {"val_nll": made.lines(8, 1.0, -3.0), "val_mse": made.lines(8, 1.0, 0.1)}),
    _case("distilled_cosine", {"kd_loss": made.lines(8, -0.2, -0.97), "mse": [1.0] * 8}),
    _case("learned_weights", {"loss": [1.0] * 8, "sigma_mse": made.lines(8, 0.05, -2.2), "mse": [1.0] * 8}),
    _case("negated_by_name", {"neg_mse": made.lines(8, -9.0, -1.0), "mse": [1.0] * 8}),
    _case("policy", {"reward": made.lines(8, 1.0, 9.0), "kl": made.lines(8, 0.0, -0.5), "value_mse": [1.0] * 8}),
)
FAILS = (
    _case("min_for_max", {"val/pinball": made.lines(8, -2.0, -3e4)}, "negative"),
    _case("probabilities_for_logarithms", {"kd_loss": made.lines(15, -23.0, -31.0)}, "negative"),
    _case("subtracted", {"val_kl": [-28.0, *made.lines(12, -100.0, -1e4, -1e7)]}, "negative"),
    _case("pixels_of_255", {"val_bce": made.lines(8, 0.7, -40.0)}, "negative"),
)
