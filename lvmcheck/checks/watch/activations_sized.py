"""activations_sized: what layers compute at first is not orders of magnitude too large."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed, pending
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.checks.watch._watched import Watched, case_run, names, watched
from lvmcheck.run.events import Watch, Window
from lvmcheck.run.view import Run

GROWTH, FALL = 10.0, 10.0
"""Largest output of a layer over the first input (at least 1); the first loss over what it falls to."""
GUESS, HIDDEN = 5.0, 0.02
"""The first loss over that of a uniform guess; share of the variance of the gradient that targets make at first."""
SETTLED = 20
"""Windows after the first whose median is what a loss falls to."""


@dataclass(frozen=True, kw_only=True)
class ActivationsSized(Watched):
    """No layer gives outputs above ten times the model's first inputs on the first forward pass, in a run whose first
    loss is above ten times the median of the windows that follow, or five times that of a uniform guess, or whose first
    outputs are so spread that targets make less than a fiftieth of the gradient's variance.

    Why:
    Training spends its first part on shrinking what the initialisation made too large, saturates what comes behind,
    and ends in a worse place.

    Usual causes:
    - Weights with a fixed deviation instead of one that falls with the number of inputs.
    - A gain meant for another activation, multiplied layer by layer.
    - Residual branches without scaling in a deep net.

    Fix:
    Initialise with kaiming_normal_ or the default of the layer; a deviation of about 1 / sqrt(inputs).

    Healthy runs that must pass:
    Pretrained models with large activations, and a first loss that is small; targets far from zero, which make a first
    loss large without large activations; embeddings and inputs of any scale; a loss that falls quickly.

    Source:
    This project's list of faults in training loops: exploding initialisation.
    """

    event = "first_activations"

    def decide(self, run: Run) -> Outcome:
        found = next((self._finding(event, run) for event in watched(run, self.event)), None)
        if found is not None and not found.met:
            return failed(found, evaluated=1)
        if not complete(run):
            return pending("the end of the run", evaluated=int(found is not None))
        return (
            passed(found, evaluated=1) if found else not_recorded("the first activations or losses were not recorded")
        )

    def _finding(self, event: Watch, run: Run) -> Finding | None:
        losses = [window.loss_mean for window in run.windows]
        if len(losses) <= SETTLED or not losses[0] > 0:
            return None
        later = float(np.median(losses[1 : SETTLED + 1]))
        of = event.values
        growth = of.get("largest", math.nan) / max(1.0, of.get("first", 1.0))
        small = losses[0] < FALL * later and not _far_off(run, losses[0])
        return Finding(
            code="too_large_at_first",
            measured=min(growth, 1.0) if small else growth,
            bounds=(ceiling(GROWTH),),
            step=event.step,
            evidence=(Fact("first_loss", losses[0]), Fact("later_loss", later), *names(event, "layer")),
            phrase="outputs of {layer} are {measured} times the inputs at first, the first loss {first_loss}, later "
            "{later_loss}",
        )


def _far_off(run: Run, loss: float) -> bool:
    """Whether the first loss is many times that of a uniform guess, or the first outputs hide their targets."""
    labels = next(iter(watched(run, "labels")), None)
    classes = 0.0 if labels is None else labels.values.get("classes", 0.0)
    targets = next(iter(watched(run, "targets")), None)
    hidden = targets is not None and targets.values.get("residual", 1.0) < HIDDEN
    return hidden or (classes > 1 and loss > GUESS * math.log(classes))


def _run(largest: float, first_loss: float) -> Run:
    run = case_run("first_activations", [{"first": 1.0, "largest": largest, "last": largest, "layers": 4}], ["2"])
    losses = [first_loss, *[2.0] * SETTLED]
    return run.extended(
        [
            Window(epoch=1, first_step=i, last_step=i, loss_mean=v, loss_min=v, loss_max=v)
            for i, v in enumerate(losses, start=1)
        ]
    )


_case = made.Cases(ActivationsSized())
PASSES = (
    _case("perfect_oracle", _run(1.0, 2.3), measured=1.0),
    _case("pretrained_with_large_activations", _run(60.0, 2.1)),
    _case("targets_far_from_zero", _run(0.8, 400.0)),
)
FAILS = (
    _case("gain_by_depth", _run(300.0, 150.0), "too_large_at_first", 300.0, layer="2"),
    _case("not_a_number", _run(float("nan"), 150.0)),
)
