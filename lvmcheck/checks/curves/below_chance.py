"""below_chance: no rank metric stays below what guessing gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.curves._curves import CurveCheck, concluded, found_at
from lvmcheck.checks.curves._ranks import guess
from lvmcheck.checks.curves._unwanted import UNWANTED
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import trend

LEAST, FEW = 8, 4
"""Evaluations from which values that are all below chance are no chance, and from which far below is none."""
FAR, CLEAR = 0.1, 0.01
"""Distances of the median from chance, as shares of the way from chance to the best value, doubled for rank sums."""
NEAR, AWAY, RISES = 0.02, 0.1, 2.0
"""Distances from chance of the later median and of the best value, and trend, at which a metric stays at chance."""


@dataclass(frozen=True, kw_only=True)
class BelowChance(CurveCheck):
    """No AUROC or concordance index stays below 0.5, and no correlation below 0, from first to last.

    A metric of which no value reaches chance fails where its median is 0.1 below it (0.2 for correlations) in four or
    more evaluations, or 0.01 (0.02) below in eight or more. One that stays within 0.02 (0.04) of chance in eight or
    more evaluations warns.

    Why:
    A model that has learned nothing is at chance. One that is below it in every evaluation has learned the opposite, or
    is scored against it; nobody sees that in a loss that falls.

    Usual causes:
    - Labels, the event indicator or the sign of the score are inverted in training or in the metric.
    - The risk set or the ranking is sorted in the wrong order.
    - Labels belong to other rows.

    Fix:
    Compute the metric of the negated score: above chance, it was the sign. Look at ten rows with score and label.

    Healthy runs that must pass:
    A hard task that is a little above 0.5, or at 0.5 at first; a metric that begins below 0.5 and passes it; areas
    under a precision-recall curve, whose chance is the share of positives.

    Source:
    Seen in recorded runs of survival models (concordance 0.35 to 0.46 throughout). Severity: fails below
    chance, since the order of all rows is reversed by no accident; warns at chance, since a task may be that hard.
    """

    def judge_ended(self, run: Run) -> Outcome:
        curves = list(_ranked(run))
        if not curves:
            return not_recorded("no area under a ROC curve, concordance or correlation is recorded")
        long = [(curve, chance) for curve, chance in curves if len(curve) >= FEW]
        if not long:
            return not_applicable(f"fewer than {FEW} evaluations")
        values = sum(len(curve) for curve, _ in long)
        for curve, chance in long:
            short = float(np.median(chance - curve.values)) / (1.0 if chance else 2.0)
            if float(curve.values.max()) < chance and (short >= FAR or (short >= CLEAR and len(curve) >= LEAST)):
                return failed(_finding("below_chance", curve, chance), evaluated=values)
        for curve, chance in long:
            if len(curve) >= LEAST and _at_chance(curve, chance):
                return warning(_finding("at_chance", curve, chance), evaluated=values)
        return concluded(_finding("reaches_chance", *long[0]), [curve for curve, _ in long], evaluated=values)


def _ranked(run: Run) -> Iterator[tuple[Curve, float]]:
    """Rank metrics that are not of the training set, each with its chance level."""
    for name, role in run.curves.roles.items():
        curve = run.curves.by_epoch.get(name) or run.curves.by_step.get(name)
        if curve is None or role.split is Split.TRAIN:
            continue
        chance = None if UNWANTED & set(words(name)) else guess(curve)
        if chance is not None:
            yield curve, chance


def _at_chance(curve: Curve, chance: float) -> bool:
    """Whether a rank metric stays next to chance, and does not rise."""
    later, scale = curve.values[len(curve) // 2 :], 1.0 if chance else 2.0
    near = float(np.median(later)) - chance < NEAR * scale and float(curve.values.max()) - chance < AWAY * scale
    return near and trend(curve.values) < RISES


def _finding(code: str, curve: Curve, chance: float) -> Finding:
    at = int(curve.values.argmax())
    return found_at(
        curve,
        at,
        code,
        bounds=(floor(chance, "guessing"),) if code == "below_chance" else (),
        evidence=(
            Fact("median", float(np.median(curve.values))),
            Fact("last", float(curve.values[-1])),
            Fact("evaluations", len(curve)),
        ),
        phrase=PHRASES.get(code, ""),
    )


PHRASES = {
    "below_chance": "best {metric} {measured}, below guessing in all of {evaluations} evaluations",
    "at_chance": "{metric} is next to guessing in all of {evaluations} evaluations: {median} in the median",
}
_case = made.Cases(BelowChance())
PASSES = (
    _case("perfect_oracle", {"val_auc": [1.0] * 5}),
    _case("hard_task", {"val_auc": [0.49, 0.51, 0.53, 0.55, 0.54, 0.55, 0.54, 0.55]}),
    _case("begins_below", {"c_index": made.lines(10, 0.41, 0.7)}),
    _case("about_nothing", {"val_spearman": [-0.02, -0.01, 0.01, -0.03, -0.02]}),
    _case("short", {"auroc": [0.496, 0.499, 0.497, 0.51, 0.495]}),
)
FAILS = (
    _case("wrong_order", {"val_c_index": [0.46, 0.38, 0.35, 0.35, 0.37, 0.39]}, "below_chance"),
    _case("inverted", {"val/auc": made.lines(8, 0.44, 0.48, 0.49)}, evaluations=8),
    _case(
        "next_to_chance",
        {"auroc": [0.5 + 0.01 * ((i * 7) % 5 - 2) for i in range(9)]},
        "at_chance",
        status=Status.WARNING,
    ),
    _case("negative_correlation", {"test_spearman": made.lines(6, -0.1, -0.6)}),
)
