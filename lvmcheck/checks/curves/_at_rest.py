"""What stands still while a loss falls: how far it fell, the digits of a record, terms that never move."""

from __future__ import annotations

import math

from lvmcheck.checks.curves._curves import accuracies, share
from lvmcheck.checks.curves._trivial import OVERLAP
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import constant_from, shape

FELL, ABSENT = 0.4, 0.3
"""Share by which a loss falls beside an accuracy that should have moved with it, beside a score of 0 or a term."""
SAME = 1e-6
"""Relative difference up to which two values are one."""
FEW, STEPS, RARE = 5, 150, 0.9
"""Evaluations of a score that is 0 in all of them, optimizer steps, and accuracy from which positives are rare."""
EVALUATIONS, DIGITS = 8, 4
"""Evaluations of one term that must agree, and significant digits from which that is no coincidence of rounding."""

LONG = 15
"""Evaluations in which one accuracy throughout is no coincidence, whatever the loss does."""
COUNTED, LOST = 8, 5
"""Evaluations of a counted metric (an accuracy on few samples) that must agree to fail, and beside a loss that fell."""
LOW = 0.6
"""Accuracy below which one should move with its loss."""
ANSWERS = 0.5
"""Share of the loss of always giving the commonest class below which a model answers otherwise."""
ALMOST_ALL, NEARLY_ALL, ROWS = 0.7, 0.93, 200
"""Share of a loss that falls while not one answer changes, accuracy that may be as good as it gets, and few rows."""
LEAST_SHARE = 0.01
"""Accuracy that the commonest class has at least."""
PARTED = 0.2
"""Accuracy gained in training beside validation losses that fell, and not one answer changed."""


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


def long_at_rest(curve: Curve) -> bool:
    """An accuracy of validation that is the same in so many evaluations that one class may be all that is answered."""
    validation = curve.role.quantity is Quantity.ACCURACY and curve.role.split is Split.VALIDATION
    return validation and len(curve) >= LONG and constant_from(curve.values, SAME) == 0 and 0 < curve.values[-1] < 1


def zero_throughout(run: Run) -> Curve | None:
    """A score of what is found that is 0 in every evaluation, where what is sought is not known to be rare."""
    if run.curves.rewards or run.curves.adversarial or run.step < STEPS:
        return None
    if any(float(share(other)[-1]) >= RARE for other in accuracies(run)):
        return None
    learns = any(fell(loss) for loss in run.curves.validation)
    for curve in run.curves.of(Quantity.SCORE, Quantity.ACCURACY):
        plain = learns and curve.role.quantity is Quantity.ACCURACY and curve.role.split is Split.VALIDATION
        if (plain or OVERLAP & set(words(curve.name))) and len(curve) >= FEW and not curve.values.any():
            return curve
    return None


def contradicts(run: Run, curve: Curve) -> bool:
    """Whether a validation loss fell so far that an accuracy cannot have stayed where it is."""
    level = float(share(curve)[-1])
    if curve.role.quantity is not Quantity.ACCURACY or len(curve) < LOST or not 0 < level < 1:
        return False
    partner = run.curves.partner(curve)
    if partner is not None and partner.role.quantity is Quantity.ACCURACY and len(partner) >= LOST:
        gained = float(share(partner)[-1]) - float(share(partner)[0])
        if gained > PARTED and any(fell(loss, ANSWERS) for loss in run.curves.validation):
            return True
    commonest = -level * math.log(level) - (1 - level) * math.log(1 - level)
    exact = len(curve) >= COUNTED and level < NEARLY_ALL and abs(level * ROWS - round(level * ROWS)) > SAME
    return any(
        (exact and fell(loss, ALMOST_ALL))
        or (fell(loss) and (level < LOW or 0 < float(loss.values[-1]) < ANSWERS * commonest))
        for loss in run.curves.validation
        if loss.role.quantity is Quantity.LOSS
    )
