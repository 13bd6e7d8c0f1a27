"""What stands still while a loss falls: how far it fell, the digits of a record, terms that never move."""

from __future__ import annotations

from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import constant_from, shape

FELL, ABSENT = 0.4, 0.3
"""Share by which a loss falls beside an accuracy that should have moved with it, beside a score of 0 or a term."""
SAME = 1e-6
"""Relative difference up to which two values are one."""
EVALUATIONS, DIGITS = 8, 4
"""Evaluations of one term that must agree, and significant digits from which that is no coincidence of rounding."""


def fell(loss: Curve, share_of_first: float = FELL) -> bool:
    """Whether a loss fell so far that an accuracy below ``LOW`` must have moved."""
    found = shape(loss.values)
    return found.first > 0 and found.first - found.last > share_of_first * found.first


def digits(curve: Curve) -> int:
    """Significant digits that the record holds."""
    return max(len(f"{abs(value):.7g}".partition("e")[0].replace(".", "").strip("0")) for value in curve.values[-20:])


def term_at_rest(run: Run) -> Curve | None:
    """A divergence or another term of the loss that never moves while the loss falls."""
    train = run.curves.train
    if train is None or not fell(train, ABSENT):
        return None
    terms = {word for window in run.windows[:1] for name in window.terms for word in words(name)}
    for curve in run.curves.of(Quantity.KL, Quantity.TERM):
        own = curve.role.quantity is Quantity.KL or bool(terms & set(words(curve.name)))
        still = len(curve) >= EVALUATIONS and constant_from(curve.values, SAME) == 0 and curve.values[-1] != 0
        if own and still and not curve.by_step and digits(curve) >= DIGITS:
            return curve
    return None
