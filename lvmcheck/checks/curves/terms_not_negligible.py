"""terms_not_negligible: no term of the data is a ten-thousandth of the loss from the beginning on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.curves._curves import CurveCheck, concluded
from lvmcheck.checks.curves._parts import Part, parts
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run, run_from

SHARE = 1e-4
"""Share of the loss at its beginning below which a term is not optimised in any usual time."""
LEAST, EXACT = 8, 1e-5
"""Values of which weights can be computed, and the largest relative rest of a sum that shows small ones."""
LOGGED = 1e-9
"""Share of a sum below which a term is only logged beside it."""
SOLVED = 0.05
"""Share of its own first values that a term has got to which is solved, and not left out."""


@dataclass(frozen=True, kw_only=True)
class TermsNotNegligible(CurveCheck):
    """Each weighted term of a prediction is at least a ten-thousandth of the loss in the first quarter of the run.

    Weights are those recorded with the terms; where none are, they are computed from a sum that is exact to 1e-5.
    Terms that are small by themselves, penalties, KL divergences and their like are left out.

    Why:
    A term with a millionth of the loss is trained a millionth as fast. Its weight was meant for another unit: days for
    years, dollars for thousands, a sum for a mean.

    Usual causes:
    - The targets of one term have another unit than those of the other.
    - One term is a sum over pixels or tokens, the other a mean.
    - A weight has a zero too many, or the wrong sign in its exponent.

    Fix:
    Scale the targets of each term to a variance of 1, then weight the terms by what matters.

    Healthy runs that must pass:
    A term that is only logged; a boundary that is solved at once; a penalty; a term whose weight grows during the run.

    Source:
    Galleries: ages in days beside a cross-entropy, weights of 1e-7 and 1e6 on a boundary. Severity: fails.
    """

    def judge_ended(self, run: Run) -> Outcome:
        if run.curves.rewards or run.curves.adversarial:
            return not_applicable("terms of policy and GAN losses have no common scale")
        known = [part for part in parts(run) if part.train is not None]
        if len(known) < 2:
            return not_recorded("no two terms of a prediction are recorded eight times")
        weights = _weights(run, known)
        if weights is None:
            return not_applicable("no weights are recorded, nor does a sum of the terms show them")
        curves = [part.train for part in known if part.train is not None]
        early = np.array([float(np.median(curve.values[: max(3, len(curve) // 4)])) for curve in curves])
        sizes = np.abs(early * weights)
        values, total = sum(map(len, curves)), float(sizes.sum())
        if not total > 0:
            return not_applicable("the terms are 0")
        for at in np.argsort(sizes).tolist():
            share = float(sizes[at]) / total
            solved = early[at] < SOLVED * float(np.abs(curves[at].values[:2]).max())
            if share < SHARE and weights[at] > 0 and early[at] > 0 and not solved:
                return failed(_finding("left_out", known, at, share, weights), evaluated=values)
        at = int(sizes.argmin())
        return concluded(_finding("weighed", known, at, float(sizes[at]) / total, weights), curves, evaluated=values)


def _weights(run: Run, known: Sequence[Part]) -> np.ndarray | None:
    """Weights as recorded, else of a sum of metrics that holds."""
    if all(part.weight is not None for part in known):
        return np.array([float(part.weight or 0.0) for part in known])
    if any(part.weight is not None for part in known):
        return None
    curves = [part.train for part in known if part.train is not None]
    total = next((curve for name, curve in {**run.curves.by_step, **run.curves.by_epoch}.items() if _whole(name)), None)
    if total is None or len(total) < LEAST or any(len(curve) != len(total) for curve in curves):
        return None
    scale = np.maximum(np.abs(total.values), 1e-30)
    table = np.stack([curve.values / scale for curve in curves], axis=1)
    size = np.maximum(np.abs(table).max(axis=0), 1e-30)
    found, *_ = np.linalg.lstsq(table / size, total.values / scale, rcond=None)
    rest = float(np.abs(table / size @ found - total.values / scale).max())
    found = np.where(np.abs(found) < max(LOGGED, 10 * rest), 0.0, found)
    weights = np.asarray(found / size, dtype=np.float64)
    return weights if rest < EXACT and bool((weights >= 0).all()) else None


def _whole(name: str) -> bool:
    return name.lower().replace("/", "_") in ("loss", "train_loss", "total_loss", "train_total_loss", "loss_total")


def _finding(code: str, known: Sequence[Part], at: int, share: float, weights: np.ndarray) -> Finding:
    curve = known[at].train
    bad = code == "left_out"
    return Finding(
        code=code,
        metric=known[at].name if curve is None else curve.name,
        measured=share,
        bounds=(floor(SHARE),) if bad or share >= SHARE else (),
        evidence=(
            Fact("weight", float(weights[at])),
            Fact("first", 0.0 if curve is None else float(curve.values[0])),
            Fact("last", 0.0 if curve is None else float(curve.values[-1])),
        ),
        phrase="{metric} is {measured} of the loss at its beginning, with a weight of {weight}" if bad else "",
    )


_case = made.Cases(TermsNotNegligible())
_DOWN, _SLOW = made.lines(40, 1.5, 0.8, 0.6), made.lines(40, 1.4, 1.2, 1.1)


def _run(**terms: tuple[float, Sequence[float]]) -> Run:
    total = [sum(weight * values[i] for weight, values in terms.values()) for i in range(40)]
    return made.window_run(total, terms=terms)


def _sum(weight: float) -> Run:
    both = [a + weight * b for a, b in zip(_DOWN, _SLOW, strict=True)]
    return run_from({"loss": both, "loss/residual": _DOWN, "loss/start": _SLOW})


PASSES = (
    _case("perfect_oracle", _run(kind=(1.0, [1.0, *[0.0] * 39]), size=(1.0, [1.0] * 40))),
    _case("two_tasks", _run(kind=(1.0, _DOWN), size=(0.01, _SLOW))),
    _case("penalty", _run(kind=(1.0, _DOWN), size=(1.0, _SLOW), l2=(1e-6, _DOWN))),
    _case("solved_at_once", _run(data=(1.0, _DOWN), start=(10.0, [1.0, 0.1, *[1e-7] * 38]))),
    _case("computed", _sum(0.3)),
    _case("only_logged", _sum(0.0)),
)
FAILS = (
    _case("in_days", _run(kind=(1.0, _DOWN), age=(1.0, [1e6 * v for v in _SLOW])), "left_out"),
    _case("tiny_weight", _run(residual=(1.0, _DOWN), start=(1e-7, _SLOW)), "left_out"),
    _case("computed_weight", _sum(1e5), "left_out"),
)
