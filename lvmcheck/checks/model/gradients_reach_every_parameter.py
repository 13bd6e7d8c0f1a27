"""gradients_reach_every_parameter: the loss has a gradient in every tensor that is trained."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed, pending
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

SHOWN = 6
"""Names of parameters in a message."""


@dataclass(frozen=True, kw_only=True)
class GradientsReachEveryParameter(Check):
    """Every trainable tensor has a gradient that is not zero in one of the evaluations "gradients" of the first epoch.

    The evaluation gives the root mean square of the gradient of the whole loss by name of the parameter, 0 where there
    is none. `allow` holds patterns of names (`*.norm.bias`) that may have none. Decided when all have one, or at the
    end of the first epoch.

    Why:
    A tensor without a gradient keeps its initial values; what it was built for never happens, and no loss curve shows
    it. The original project's halting head had no gradient from the first step to the last: the term meant for it was
    never called, the one that was used counted integer steps. Three documents discuss its "variance of 0".

    Usual causes:
    - The loss term that trains it is not called, or its weight is 0.
    - detach(), argmax, a comparison or an integer stands between it and the loss.
    - Its output is not used at all, or only in a branch that is never taken.
    - A head of the model is missing from the forward pass of training.

    Fix:
    Follow the tensor's output through the forward pass to the loss, and look for the first detach, integer or unused
    value. A tensor that is meant to rest gets requires_grad = False.

    Healthy runs that must pass:
    A layer that starts at zero and hides those before it at the first step only: measure again after a few steps.
    Biases before a normalisation, which have none for ever: name them in `allow`.

    Source:
    history 10 (compute_act_loss with zero call sites).
    """

    metric_fields = ()

    allow: tuple[str, ...] = ()

    def due(self, epochs: int) -> int:
        return min(1, epochs)

    def judge(self, run: Run) -> Outcome:
        largest: dict[str, float] = {}
        for event in run.events:
            if isinstance(event, ev.Evaluation) and event.name == "gradients":
                for name, norm in event.metrics.items():
                    if not math.isfinite(norm):
                        return failed(_not_finite(name, norm), evaluated=len(largest) + 1)
                    largest[name] = max(norm, largest.get(name, 0.0))
                if largest and not self._dead(largest):
                    return passed(self._finding(largest), evaluated=len(largest))
            if isinstance(event, ev.Epoch):
                return self._decided(largest)
        if run.finished:
            return self._decided(largest)
        return pending("the evaluation 'gradients' or the end of the first epoch", evaluated=len(largest))

    def _decided(self, largest: dict[str, float]) -> Outcome:
        if not largest:
            return not_recorded("no evaluation 'gradients' is recorded in the first epoch")
        return failed(self._finding(largest), evaluated=len(largest))

    def _dead(self, largest: dict[str, float]) -> list[str]:
        return [
            name
            for name, norm in largest.items()
            if not norm > 0 and not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.allow)
        ]

    def _finding(self, largest: dict[str, float]) -> Finding:
        dead = self._dead(largest)
        more = f" and {len(dead) - SHOWN} more" if len(dead) > SHOWN else ""
        smallest = min(largest, key=lambda name: (name in dead or not largest[name] > 0, largest[name]))
        listed = (Fact("without_gradient", ", ".join(dead[:SHOWN]) + more),) if dead else ()
        return Finding(
            code="parameters_without_gradient",
            measured=len(dead),
            evidence=(
                Fact("total", len(largest)),
                *listed,
                Fact("smallest_gradient", largest[smallest]),
                Fact("smallest_gradient_in", smallest),
            ),
            phrase="{measured} of {total} trained parameters have no gradient",
        )


def _not_finite(name: str, norm: float) -> Finding:
    return Finding(
        code="not_finite",
        measured=norm,
        evidence=(Fact("parameter", name),),
        phrase="gradient of {parameter} is {measured}, not a finite number",
    )


_HEALTHY = {"embedding.weight": 2e-4, "layers.0.attention.query.weight": 1e-3, "halting.weight": 4e-5}
_FIRST = {"embedding.weight": 0.0, "layers.0.attention.query.weight": 0.0, "halting.weight": 4e-5}


def _run(*norms: dict[str, float]) -> Run:
    return language.evaluated("gradients", *norms)


_case = made.Cases(GradientsReachEveryParameter())
PASSES = (
    _case("perfect_oracle", _run(_HEALTHY), smallest_gradient_in="halting.weight"),
    _case("hidden_by_a_layer_that_starts_at_zero", _run(_FIRST, _HEALTHY)),
    made.case(
        "bias_before_a_normalisation",
        GradientsReachEveryParameter(allow=("*.bias",)),
        _run({**_HEALTHY, "layers.0.value.bias": 0.0}),
    ),
)
FAILS = (
    _case(
        "dead_halting_head",
        _run({**_HEALTHY, "halting.weight": 0.0, "halting.bias": 0.0}),
        "parameters_without_gradient",
        2,
        without_gradient="halting.weight, halting.bias",
    ),
    _case("never_opens", _run(_FIRST, _FIRST), measured=2),
    _case("nan", _run({**_HEALTHY, "halting.weight": math.nan}), "not_finite", math.nan),
)
