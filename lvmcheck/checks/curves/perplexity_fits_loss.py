"""perplexity_fits_loss: a recorded perplexity is the exponential of the loss of the same tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, concluded, found_at
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.events import Watch
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run, run_from

LEAST, EXACT, NATS, APART = 3, 0.01, 0.2, 0.3
"""Evaluations, relative distance from the power, and how near the recorded loss is to a cross entropy in nats,
and loss from which both powers differ."""


@dataclass(frozen=True, kw_only=True)
class PerplexityFitsLoss(CurveCheck):
    """No perplexity is 2 to the power of the loss of its split in every one of three or more evaluations, within 1 %.

    It warns, since a loss in bits has that perplexity, and fails where the recorded training loss was watched to be a
    plain cross entropy in nats.

    Why:
    2 ** loss of a loss in nats looks like a model that is far better than it is: 14 in place of 45.

    Usual causes:
    - 2 ** loss with a loss of torch.nn.functional.cross_entropy, which is in nats.
    - A formula for bits per character is used for the perplexity.

    Fix:
    math.exp(loss).

    Healthy runs that must pass:
    Losses in bits a token; perplexities of other sets or other averages than the loss.

    Source:
    Definition. Severity: warns, since the unit of a loss is rarely recorded.
    """

    def judge_ended(self, run: Run) -> Outcome:
        pairs = [
            (loss, curve)
            for curve in run.curves.of(Quantity.PERPLEXITY)
            for loss in run.curves.of(Quantity.LOSS)
            if curve.role.split in (loss.role.split, Split.NONE)
            and len(loss) == len(curve)
            and (loss.steps == curve.steps).all()
        ]
        if not pairs:
            return not_recorded("no perplexity beside a loss of the same evaluations is recorded")
        long = [(loss, curve) for loss, curve in pairs if len(loss) >= LEAST and loss.values.min() > 0]
        if not long:
            return not_applicable(f"fewer than {LEAST} evaluations")
        values = sum(len(loss) for loss, _ in long)
        for loss, curve in long:
            if loss.values.max() > APART and np.allclose(
                curve.values, np.exp2(np.minimum(loss.values, 90)), rtol=EXACT
            ):
                return (failed if _in_nats(run) else warning)(_finding("base_two", loss, curve), evaluated=values)
        return concluded(_finding("fits", *long[0]), list(long[0]), evaluated=values)


def _in_nats(run: Run) -> bool:
    """Whether the recorded loss was watched to be a plain mean of torch's cross entropy."""
    seen = [event.values.get("loss", math.nan) for event in run.of(Watch) if event.name == "class_frequencies"]
    windows = run.curves.window_losses
    if not seen or windows is None or not len(windows):
        return False
    last = float(np.median(windows.values[-4:]))
    return abs(seen[-1] - last) < NATS * abs(last)


def _finding(code: str, loss: Curve, curve: Curve) -> Finding:
    return found_at(
        curve,
        -1,
        code,
        evidence=(
            Fact("other_metric", loss.name),
            Fact("other", float(loss.values[-1])),
            Fact("exp_of_loss", math.exp(min(float(loss.values[-1]), 90.0))),
        ),
        phrase="{metric} {measured} is 2 ** {other_metric} in every evaluation; its exponential is {exp_of_loss}"
        if code == "base_two"
        else "{metric} {measured} beside a {other_metric} of {other}",
    )


_case = made.Cases(PerplexityFitsLoss())
_LOSS = made.lines(8, 4.0, 2.4)


def perplexity_run(base: float, *, watched: bool = False) -> Run:
    run = run_from({"val_loss": _LOSS, "val_ppl": [base**v for v in _LOSS]})
    if not watched:
        return run
    windows = made.window_run(made.lines(20, 4.2, 2.4)).windows
    seen = Watch(name="class_frequencies", epoch=1, step=9, subjects=(), values={"loss": 2.4})
    return run.extended([*windows, seen])


PASSES = (_case("perfect_oracle", perplexity_run(math.e)), _case("other_tokens", perplexity_run(2.3)))
FAILS = (
    _case("unit_unknown", perplexity_run(2.0), "base_two", status=Status.WARNING),
    _case("of_nats", perplexity_run(2.0, watched=True), "base_two"),
)
