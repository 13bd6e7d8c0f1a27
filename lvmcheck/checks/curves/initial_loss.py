"""initial_loss: the first loss is near what a model that knows nothing has."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import CurveCheck, classes, number, vocabulary
from lvmcheck.checks.finding import (
    Fact,
    Finding,
    Outcome,
    Status,
    failed,
    not_applicable,
    not_recorded,
    passed,
    warning,
)
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.view import Run, run_from

EARLY = 10
"""Steps within which a loss is a first one."""
LONGEST = math.log(2**18)
"""Nats of a guess among as many tokens as any vocabulary has."""
HIGH, SURE = 2.0, 1.2
"""Times the expected value above which a first loss is suspicious, and above that of any vocabulary wrong."""


@dataclass(frozen=True, kw_only=True)
class InitialLoss(CurveCheck):
    """The loss of the first ten steps is at most twice the expected one, ln K for K classes or tokens.

    K is stated in config or facts (classes, num_classes, vocabulary, vocab_size), or expected_initial_loss
    says it. A first loss that is lower says nothing: the run may be a fine-tune. Where none is stated and a perplexity
    that is exp(loss) is recorded, 15 nats fail: no vocabulary has that many tokens.

    Why:
    ln K is what a model gives that treats all classes alike. A first loss far above it comes from a scale: a sum in
    place of a mean, weights that are too large, labels beyond the classes.

    Usual causes:
    - reduction="sum", or a loss that is multiplied by a factor.
    - Weights of the last layer are initialised far too large.
    - The learning rate destroyed the model in the first steps.

    Fix:
    Compute the loss of one batch before the first step and compare it with ln K.

    Healthy runs that must pass:
    A fine-tune that starts low; a loss with further terms that are declared; runs whose first steps are not recorded.

    Source:
    Severity: warns, since training may repair it; fails above what any
    vocabulary allows.
    """

    def judge_ended(self, run: Run) -> Outcome:
        count = classes(run) or vocabulary(run)
        expected = number(run, "expected_initial_loss") or (math.log(count) if count else None)
        tokens = expected is None and any(True for _ in run.curves.of(Quantity.PERPLEXITY))
        if tokens:
            expected = LONGEST
        if expected is None:
            return not_recorded("neither the number of classes nor the vocabulary size is recorded")
        first = [window for window in run.windows if window.last_step <= EARLY]
        if not first or run.curves.rewards or any(len(window.terms) > 1 for window in first):
            return not_applicable("no loss of the first ten steps is recorded, or it has several terms")
        value = float(np.median([window.loss_mean for window in first[:3]]))
        if not math.isfinite(value):
            return not_applicable("the first loss is not finite: the check finite judges it")
        most = expected * (SURE if tokens else HIGH)
        finding = Finding(
            code="far_above" if value > most else "as_expected",
            metric="train_loss",
            measured=value,
            bounds=(ceiling(most, f"{most / expected:g} * expected"),),
            step=first[0].last_step,
            evidence=(Fact("expected", expected),),
        )
        if tokens and not _is_mean(run):
            return not_applicable("no perplexity says that the loss is a mean over tokens")
        bad = failed if tokens else warning
        return (bad if value > most else passed)(finding)


def _is_mean(run: Run) -> bool:
    """Whether a perplexity is exp(loss) somewhere: the loss is a mean over tokens, in nats."""
    losses = [loss for loss in run.curves.validation if len(loss)]
    pairs = [
        (loss, found) for loss in losses for found in run.curves.of(Quantity.PERPLEXITY) if len(found) == len(loss)
    ]
    return any(abs(math.log(float(ppl.values[-1])) - float(loss.values[-1])) < 0.02 for loss, ppl in pairs)


def _steps(first: float, **config: object) -> Run:
    values = made.lines(20, first, 0.5 * first)
    said = [
        ev.Window(epoch=1, first_step=i, last_step=i, loss_mean=v, loss_min=v, loss_max=v)
        for i, v in enumerate(values, 1)
    ]
    return Run(events=tuple(said), info={"config": config}, done={"status": "finished"})


_case = made.Cases(InitialLoss())
PASSES = (
    _case("perfect_oracle", _steps(0.0, num_classes=10)),
    _case("ten_classes", _steps(2.4, num_classes=10), expected=2.302585),
    _case("stated", _steps(6.0, num_classes=10, expected_initial_loss=5.0), expected=5.0),
    _case("fine_tune", _steps(0.3, num_classes=10)),
)
_SUMMED = _case("summed", _steps(2.3 * 32, num_classes=10), "far_above", expected=2.302585)
_SCALED = _case("too_large", _steps(40.0, vocab_size=50257), "far_above")
_TOKENS = run_from({"val_loss": made.lines(8, 9.0, 3.0), "val_ppl": [math.exp(v) for v in made.lines(8, 9.0, 3.0)]})
_ANY = _case("any_vocabulary", _steps(41.0).extended(_TOKENS.events), "far_above")
FAILS = (_ANY, replace(_SUMMED, status=Status.WARNING), replace(_SCALED, status=Status.WARNING))
