"""error_follows_loss: a relative error gets better as its loss does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import CurveCheck, concluded, course
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import NOT_THE_MODEL, Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run, run_from

LEAST, BIG, AGO = 6, 0.3, 20.0
"""Values of the error, what it may be at its end, and times that the loss fell further than the error says."""
NOTHING = 1.05
"""Relative error above which an answer is worse than 0."""
_RELATIVE = "rell2 nrmse relerr relerror"
RELATIVE = frozenset(_RELATIVE.split())


@dataclass(frozen=True, kw_only=True)
class ErrorFollowsLoss(CurveCheck):
    """A relative error does not end above 0.3 while its training loss falls 400 times further than the error squared.

    Relative errors are known by name: rel_l2, relative_error, nrmse. Only the training loss is compared with them.

    Why:
    The answer 0 solves an equation without its boundary, with a relative error of 1 and a residual of nothing. The loss
    is then perfect, and says nothing of the solution.

    Usual causes:
    - The weight of a boundary, an initial condition or the data is 0, tiny or huge beside the residual.
    - A term is detached, or evaluated at other points.
    - The error is computed against another solution, or in another unit.

    Fix:
    Print each term beside the relative error. Weight them so that their gradients have one size.

    Healthy runs that must pass:
    A hard equation, whose loss and error fall slowly together; an error that has a floor of noise below 0.3.

    Source:
    Galleries: equations without their ends. Severity: fails, since the loss is nearly 0 and the answer is wrong.
    """

    def judge_ended(self, run: Run) -> Outcome:
        errors = [curve for name, curve in {**run.curves.by_step, **run.curves.by_epoch}.items() if _relative(name)]
        train = run.curves.train or _residual(run)
        if not errors or train is None:
            return not_recorded("no relative error beside a training loss is recorded")
        long = [curve for curve in errors if len(curve) >= LEAST and float(curve.values.min()) > 0]
        if not long or len(train) < LEAST or not float(train.values.min()) > 0:
            return not_applicable(f"fewer than {LEAST} values above 0")
        values = sum(map(len, long)) + len(train)
        for curve in long:
            if float(np.median(curve.values[-3:])) > BIG and _further(train, curve) > AGO:
                code = "stays" if float(np.median(curve.values[-3:])) < NOTHING else "other_answer"
                return failed(_finding(run, code, curve, train), evaluated=values)
        return concluded(_finding(run, "follows", long[0], train), [train, *long], evaluated=values)


def _relative(name: str) -> bool:
    said = words(name)
    pair = any(a in ("rel", "relative") and b in ("l2", "error", "err", "rmse") for a, b in pairwise(said))
    return (bool(RELATIVE & set(said)) or pair) and not NOT_THE_MODEL & set(said) and "train" not in said


def _residual(run: Run) -> Curve | None:
    """The residual, where the sum is not recorded."""
    for curve in run.curves.of(Quantity.LOSS, Quantity.TERM):
        if curve.role.split is not Split.VALIDATION and len(curve) >= LEAST:
            return curve
    return None


def _further(train: Curve, error: Curve) -> float:
    """How many times further the root of the loss fell than the error."""
    loss, own = train.values, error.values
    fell = math.sqrt(float(loss[:3].max()) / float(np.median(loss[-3:])))
    return fell / (float(own[0]) / float(np.median(own[-3:])))


def _finding(run: Run, code: str, curve: Curve, train: Curve) -> Finding:
    last = float(np.median(curve.values[-3:]))
    return Finding(
        code=code,
        metric=curve.name,
        measured=last,
        bounds=(ceiling(BIG),) if code != "follows" or last <= BIG else (),
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(
            *course(run, curve),
            Fact("loss_first", float(train.values[0])),
            Fact("loss_last", float(train.values[-1])),
            Fact("times", _further(train, curve)),
        ),
        phrase="{metric} is {measured} at last while the loss fell from {loss_first} to {loss_last}"
        if code != "follows"
        else "",
    )


_case = made.Cases(ErrorFollowsLoss())


def _run(loss: Sequence[float], error: Sequence[float]) -> Run:
    return run_from({"loss": loss, "rel_l2": error})


_FALL = [2.0 * 0.5**i for i in range(20)]
PASSES = (
    _case("perfect_oracle", _run([1.0, *[1e-9] * 9], [1.0, *[1e-5] * 9])),
    _case("solved", _run(_FALL, [v**0.5 for v in _FALL])),
    _case("hard", _run(made.lines(20, 2.0, 0.7), made.lines(20, 1.0, 0.6))),
)
FAILS = (
    _case("no_boundary", _run(_FALL, made.lines(20, 0.98, 0.96)), "stays"),
    _case("sign", _run(_FALL, made.lines(20, 1.2, 1.4, 1.5)), "other_answer"),
    _case("weight_of_a_million", _run([1e6 * v for v in _FALL], made.lines(20, 1.66, 0.7, 0.43)), "stays"),
)
