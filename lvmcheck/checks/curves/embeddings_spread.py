"""embeddings_spread: embeddings do not shrink to one point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.curves._curves import SURE, CurveCheck, concluded, place_fact
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import TRAIN, VALIDATION, words
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import trend

LEAST = 6
"""Values that show a course."""
KEPT, LOST = 0.5, 0.25
"""Share of its first spread that is left of a collapse on its way, and of one that is there."""
TOGETHER = -0.15
"""Uniformity (the logarithm of a mean Gaussian potential; 0 is one point, -3 a sphere) that nothing separates."""
SPREAD = frozenset(["std", "stdev", "variance", "var", "spread"])
_OF = "embedding embeddings emb embed feature features feat feats representation representations repr"
OF = frozenset(_OF.split())
OTHERS = frozenset(["loss", "penalty", "weight", "posterior", "prior", "target", "targets", "noise", "within", "intra"])


@dataclass(frozen=True, kw_only=True)
class EmbeddingsSpread(CurveCheck):
    """The spread of embeddings or features does not fall below half of its first value and keep falling.

    Known by name: a std, variance or spread of embeddings, features or representations, and uniformity. Below a quarter
    of the first value fails, below half warns; so does a uniformity that rises to above -0.15.

    Why:
    Pairs are alike where everything is one point: the loss of an alignment is then perfect, and nothing is known.

    Usual causes:
    - The term that keeps embeddings apart (variance, negatives, decorrelation) is missing or has no weight.
    - Both branches get gradients where one should be detached, or a predictor is missing.
    - A temperature or a learning rate is far too high.

    Fix:
    Print the standard deviation of each dimension over a batch. Turn the repelling term on and watch it.

    Healthy runs that must pass:
    A spread that falls by a third and stays; the width of a posterior, which gets narrow; a spread within classes.

    Source:
    An independent gallery: a term of the variance left out. Severity: fails at a quarter, warns before.
    """

    def judge_ended(self, run: Run) -> Outcome:
        known = {**run.curves.by_step, **run.curves.by_epoch}
        curves = [curve for name, curve in known.items() if len(curve) >= LEAST and _known(name)]
        if not curves:
            return not_recorded("no spread of embeddings is recorded by name")
        values = sum(map(len, curves))
        for curve in curves:
            if "uniformity" in words(curve.name):
                if float(np.median(curve.values[-3:])) > TOGETHER and trend(curve.values) > SURE:
                    return failed(_finding("together", curve, TOGETHER), evaluated=values)
                continue
            first, left = float(curve.values[0]), float(np.median(curve.values[-3:]))
            if left < KEPT * first and trend(curve.values) < -SURE and trend(curve.values[len(curve) // 2 :]) < -1:
                finding = _finding("shrinks", curve, KEPT * first)
                return (failed if left < LOST * first or _alone(known) else warning)(finding, evaluated=values)
        return concluded(_finding("spread", curves[0], None), curves, evaluated=values)


def _known(name: str) -> bool:
    said = set(words(name))
    return not said & OTHERS and ("uniformity" in said or bool(SPREAD & said and OF & said))


def _alone(known: dict[str, Curve]) -> bool:
    """Whether alignment is all that is recorded beside it: nothing is classified that may draw classes together."""
    names = {word for name in known for word in words(name)} - TRAIN - VALIDATION
    return not names & {"acc", "accuracy", "top1", "f1", "ce", "recall", "map"}


def _finding(code: str, curve: Curve, least: float | None) -> Finding:
    return Finding(
        code=code,
        metric=curve.name,
        measured=float(curve.values[-1]),
        bounds=() if least is None or code == "together" else (floor(least),),
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(place_fact("first", curve, 0), Fact("values", len(curve))),
        phrase=_PHRASES[code],
    )


_PHRASES = {
    "shrinks": "{metric} fell from {first} to {measured}: embeddings become one point",
    "together": "{metric} rose from {first} to {measured}: embeddings become one point",
    "spread": "",
}
_case = made.Cases(EmbeddingsSpread())
PASSES = (
    _case("perfect_oracle", {"embedding_std": [0.125] * 8}),
    _case("settles", {"feature_std": made.lines(12, 1.0, 0.7, 0.68)}),
    _case("sphere", {"uniformity": made.lines(12, -0.8, -2.5, -3.4)}),
    _case("classes", {"emb_std": [0.1] * 9, "within_class_emb_std": made.lines(9, 0.1, 0.01)}),
)
FAILS = (
    _case("no_variance", {"embedding_std": made.lines(12, 0.115, 0.06, 0.038)}, "shrinks"),
    _case("uniformity", {"uniformity": made.lines(12, -0.8, -0.2, -0.09)}, "together"),
)
