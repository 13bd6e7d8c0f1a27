"""Where a run goes on after its training set is learned by heart, and where validation only gets worse."""

from __future__ import annotations

import numpy as np

from lvmcheck.checks.curves._curves import SURE, improved, share
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction, Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend

LEFT = 0.02
"""Share of its first value that a training loss ends below when it has no error left."""
DONE, HIGH, MEDIOCRE = 0.06, 0.35, 0.82
"""Share of its first value at which a training loss is done, share at which validation then stays, poor accuracy."""
PAST, POOR, LITTLE = 10, 0.25, 0.03
"""Evaluations of a validation loss that only rises, and a score that is poor all along and gained this little."""


def by_heart(run: Run, val: Curve, train: Curve) -> str | None:
    """What validation says of a model that knows its training set, as a code; None where it says nothing."""
    if _for_long(run, val, train):
        return "learned_by_heart"
    return "validation_only_rises" if _only_rises(run, val, train) else None


def _for_long(run: Run, val: Curve, train: Curve) -> bool:
    """Half of a run that went on when training had no error left, and neither loss nor score of validation gained."""
    learned, half = shape(train.values), len(val) // 2
    first = max(learned.first, float(train.values[0]))
    known = 0 < learned.last < LEFT * first and float(val.values.min()) > 0
    if len(val) < PAST or run.of(ev.Early) or not known:
        return False
    middle, last = float(np.median(val.values[half - 1 : half + 2])), float(np.median(val.values[-3:]))
    start = max(float(val.values[0]), first if first < 4 * float(val.values[0]) else 0.0)
    done = train.values[train.epochs <= val.epochs[half]]
    if not len(done) or float(np.median(done[-3:])) > DONE * first:
        return False
    if last < max(HIGH * start, 0.98 * middle) or last < 20 * learned.last:
        return False
    scores = _scores(run)
    if not scores and last < 1.1 * float(val.values.min()):
        return False  # a level alone may be the noise of the targets
    return not any(map(_fair, scores))


def _fair(score: Curve) -> bool:
    """Whether a score of validation is good, or still got better in the second half."""
    values = share(score)
    late = values[len(values) // 2 - 1 :]
    unbounded = score.role.quantity not in (Quantity.ACCURACY, Quantity.COSINE) and float(np.abs(values).max()) > 1
    if unbounded or score.role.direction is not Direction.HIGHER:
        return improved(score)
    last = float(np.median(late[-3:]))
    return last > MEDIOCRE or last - float(np.median(late[:3])) > max(0.02, 0.05 * last)


def _scores(run: Run) -> list[Curve]:
    """Scores of validation; those without a split where none of validation has one."""
    scores = [score for score in run.curves.scores if score.role.quantity is not Quantity.ERROR]
    validated = [score for score in scores if score.role.split is Split.VALIDATION]
    return validated or [score for score in scores if score.role.split is Split.NONE]


def _only_rises(run: Run, val: Curve, train: Curve) -> bool:
    """A validation loss that is lowest early and rises ever since, beside scores that are poor all along."""
    found, scores = shape(val.values), _scores(run)
    at = int(val.values.argmin())
    if len(val) < PAST or at > len(val) // 3 or not scores or not found.low > 0 or trend(val.values[at:]) < SURE:
        return False
    before, after = train.values[train.epochs <= val.epochs[at]], train.values[train.epochs > val.epochs[at]]
    falls = len(before) and len(after) and float(np.median(after[-3:])) < 0.95 * float(before[-1])
    if not falls or found.last < 1.02 * float(val.values.min()):
        return False
    return all(float(share(c).max()) < POOR and float(share(c).max() - share(c)[0]) < LITTLE for c in scores)
