"""terms_descend: no part of the loss is left behind while another one falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import SURE, CurveCheck, concluded, course, found_at
from lvmcheck.checks.curves._parts import DATA, Part, parts
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import words
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend

RISEN, FELL = 1.05, 0.8
"""Times its first level that a part ends at which is left behind, and that another one ends at."""
APART, CLEARLY = 1e4, 0.3
"""Times of a part that another one begins at which is all of the sum; share to which another falls that is learned."""
FLAT, NEARLY, FAR, LONG = 0.95, 0.9, 0.1, 10
"""The same for a part that stays, at least in one of training and validation, beside another that falls to a tenth, and
values that it needs."""


@dataclass(frozen=True, kw_only=True)
class TermsDescend(CurveCheck):
    """No part of a training loss ends above its first level, in validation as well, while another falls by a fifth.

    Parts are loss terms, and losses and errors by name (train_ce, loss/box). Left behind is one that ends 5 % above its
    first level in training, with a trend of three standard deviations, and above it in validation where that is
    recorded; or one that never gets 5 % below it while another falls to a tenth. A term of the data (mse, ce,
    reconstruction) that is exactly 0 in every value was not computed.

    Why:
    The sum falls, and so does every plot of it. One task is trained with the wrong head, with weight 0 or not at all,
    and the model is used for both.

    Usual causes:
    - A weight is 0, or so small that the other term decides; the wrong one of two terms is added twice.
    - The output of the term is detached, or computed under no_grad.
    - Both heads are compared with the targets of one.

    Fix:
    Train on this term alone for 200 steps. Falls it, so look at the weights; else at its graph and its targets.

    Healthy runs that must pass:
    A KL divergence that rises while a code begins to be used; penalties, entropies and commitments that rise; a
    validation term that overfits while its training term falls; two players; rewards.

    Source:
    Two independent galleries: the first of two terms added twice, a term without weight, a detached initial condition.
    Severity: fails, since an optimizer that holds a term lowers it.
    """

    def judge_ended(self, run: Run) -> Outcome:
        if run.curves.rewards or run.curves.adversarial:
            return not_applicable("policy and GAN losses may rise")
        known = [part for part in parts(run) if part.train is not None]
        curves = [part.train for part in known if part.train is not None]
        values = sum(map(len, curves))
        empty = next((part for part in known if _empty(part)), None)
        if empty is not None:
            return failed(_finding(run, "zero", empty, empty), evaluated=values)
        if len(known) < 2:
            return not_recorded("no two parts of a training loss are recorded eight times")
        for part in known:
            if not _left(part, RISEN):
                continue
            other = next((each for each in known if each is not part and _learns(each, FELL)), None)
            if other is not None:
                return failed(_finding(run, "rises", part, other), evaluated=values)
        for part in known:
            other = next((each for each in known if each is not part and _learns(each, FAR)), None)
            if other is not None and (_stays(part) or (_far_smaller(part, other) and _hardly(part))):
                return failed(_finding(run, "stays", part, other), evaluated=values)
        for part in known:
            other = next((each for each in known if each is not part and _learns(each, CLEARLY)), None)
            if other is not None and part.weight != 0 and _not_since_the_first_steps(part):
                return failed(_finding(run, "stays", part, other), evaluated=values)
        return concluded(_finding(run, "descend", known[0], known[1]), curves, evaluated=values)


def _empty(part: Part) -> bool:
    """Whether a term that measures a prediction is exactly 0 throughout."""
    if part.train is None or part.weight == 0 or not DATA & set(words(part.name)):
        return False
    both = [part.train, *([part.validation] if part.validation is not None else [])]
    return not any(curve.values.any() for curve in both) and not any(curve.missing for curve in both)


def _left(part: Part, times: float) -> bool:
    """Whether a part rises in training, and not falls in validation."""
    return (
        part.train is not None
        and _rises(part.train, times)
        and (part.validation is None or _rises(part.validation, 1.0))
    )


def _rises(curve: Curve, times: float) -> bool:
    found = shape(curve.values)
    return found.first > 0 and found.last > times * found.first and trend(curve.values) > SURE


def _learns(part: Part, left: float) -> bool:
    """Whether a part fell to a share of its first level."""
    if part.train is None:
        return False
    found = shape(part.train.values)
    return found.first > 0 and found.last < left * found.first and trend(part.train.values) < -SURE


def _stays(part: Part) -> bool:
    """Whether a part is nowhere below its first value in the second half, and does not get there."""
    curves = [curve for curve in (part.train, part.validation) if curve is not None]
    return all(
        len(curve) >= LONG
        and 0 < FLAT * float(curve.values[0]) < float(np.sort(curve.values[len(curve) // 2 :])[:2].mean())
        and trend(curve.values[len(curve) // 2 :]) > -1
        for curve in curves
    )


def _far_smaller(part: Part, other: Part) -> bool:
    """Whether the first values of two parts are so far apart that one of them is all of their sum."""
    if part.train is None or other.train is None:
        return False
    return float(other.train.values[0]) > APART * abs(float(part.train.values[0])) > 0


def _hardly(part: Part) -> bool:
    """Whether a part has lost less than a fifth of its first value at the end."""
    curves = [curve for curve in (part.train, part.validation) if curve is not None]
    return all(float(np.median(curve.values[-5:])) > FELL * float(curve.values[0]) > 0 for curve in curves)


def _not_since_the_first_steps(part: Part) -> bool:
    """Whether a part of the windows is where its first steps were, and its validation where it was first."""
    if part.train is None or not part.train.by_step or part.validation is None or int(part.train.steps[0]) > 2:
        return False
    start, late = part.train.values[:8], part.train.values[len(part.train) // 2 :]
    seen = part.validation.values
    if len(seen) < LONG or not (float(np.median(start)) > 0 and float(seen[0]) > 0):
        return False
    left = float(np.median(late)) / float(np.median(start)), float(np.median(seen[-3:])) / float(seen[0])
    return min(left) > NEARLY and max(left) > FLAT


def _finding(run: Run, code: str, part: Part, other: Part) -> Finding:
    curve, beside = part.train, other.train
    if curve is None or beside is None:
        raise ValueError("a part without a training course")
    facts = [*course(run, curve), Fact("other", beside.name)]
    facts += [Fact("other_first", float(beside.values[0])), Fact("other_last", float(beside.values[-1]))]
    if part.weight is not None:
        facts.append(Fact("weight", part.weight))
    return found_at(curve, -1, code, evidence=tuple(facts), phrase=_PHRASES[code])


_PHRASES = {
    "zero": "{metric} is exactly 0 in every value: it is not computed",
    "rises": "{metric} went from {first} to {last} while {other} fell from {other_first} to {other_last}",
    "stays": "{metric} stays at {last} while {other} fell from {other_first} to {other_last}",
    "descend": "",
}
_case = made.Cases(TermsDescend())
_DOWN, _UP = made.lines(15, 1.5, 0.8, 0.6), made.lines(15, 1.4, 1.6, 1.7)


def _run(**terms: tuple[float, Sequence[float]]) -> Run:
    count = min(len(values) for _, values in terms.values())
    total = [sum(weight * values[i] for weight, values in terms.values()) for i in range(count)]
    return made.window_run(total, terms=terms)


PASSES = (
    _case("perfect_oracle", {"train_box": [0.0] * 8, "train_loss_box": [0.0] * 8, "train_loss_cls": [0.0] * 8}),
    _case("two_tasks", _run(kind=(1.0, _DOWN), size=(0.5, made.lines(15, 3.0, 1.0)))),
    _case("code_begins_to_be_used", _run(mse=(1.0, _DOWN), bce=(1.0, _DOWN), kl=(1.0, _UP))),
    _case("one_task_overfits", {"train_ce": _DOWN, "train_mse": _DOWN, "val_ce": _DOWN, "val_mse": _UP}),
    _case(
        "sets_of_different_difficulty",
        {f"{of}/loss": curve for of, curve in (("train", _DOWN), ("clear", _DOWN), ("blurred", _UP))}
        | {f"{of}/accuracy": _UP for of in ("train", "clear", "blurred")}
        | {"ce": _DOWN, "mse": _DOWN},
    ),
    _case("floor_of_noise", _run(data=(1.0, [0.4, *[0.3] * 14]), residual=(1.0, made.lines(15, 1.0, 0.05)))),
)
FAILS = (
    _case("first_term_twice", {"train_ce": _DOWN, "train_mse": _UP, "val_ce": _DOWN, "val_mse": _UP}, "rises", 1.7),
    _case("no_weight", _run(kind=(1.0, _DOWN), size=(0.0, _UP)), "rises", weight=0.0),
    _case(
        "detached",
        {"loss/ode": [2.0 * 0.5**i for i in range(15)], "loss/start": [0.98 + 1e-3 * i for i in range(15)]},
        "stays",
    ),
    _case(
        "residual_detached",
        _run(edge=(20.0, [0.9 * 0.3**i for i in range(20)]), residual=(1.0, [0.2, 0.16, 3.0, 7.5, *[4.2, 4.3] * 8])),
        "stays",
    ),
    _case("not_computed", _run(recon=(1.0, [0.0] * 15), kl=(0.1, _DOWN)), "zero"),
)
