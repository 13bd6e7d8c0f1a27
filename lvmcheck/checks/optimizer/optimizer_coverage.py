"""optimizer_coverage: the optimizer holds every trainable parameter, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Outcome
from lvmcheck.checks.optimizer._probed import at_end
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.run.view import Run

KEYS = {
    "coverage/outside": ("outside_optimizer", "{measured} of the model are in no parameter group of the optimizer"),
    "coverage/foreign": ("not_in_model", "{measured} of the optimizer are no trainable parameters of the model"),
}


@dataclass(frozen=True, kw_only=True)
class OptimizerCoverage(Check):
    """In every probe, no trainable number of the model is outside the optimizer's groups, and none in them is foreign.

    Probes state "coverage/outside" and "coverage/foreign" as counts of numbers.

    Why:
    A parameter that no group holds has a gradient and never moves. The curves hardly show it: a classifier whose head
    was left out of the optimizer reaches the same accuracy, because the layers before it adapt.

    Usual causes:
    - Groups are made by name or type, and a new module matches none of them.
    - The optimizer is made before a layer is replaced, and keeps the old one.
    - Weights are copied instead of tied, so that one of both is foreign.
    - Parameters are frozen after the optimizer was made.

    Fix:
    Make groups that partition model.parameters() and test that they do: each parameter in exactly one.

    Healthy runs that must pass:
    Layers frozen with requires_grad = False, which are not trainable; tied weights, counted once.

    Source:
    Layers that were replaced after the optimizer was made, in every framework that lets the user build both.
    """

    metric_fields = ()

    def judge(self, run: Run) -> Outcome:
        findings = []
        for key, (code, phrase) in KEYS.items():
            found = at_end(run, key)
            if isinstance(found, Outcome):
                return found
            values, shown = found
            worst = math.nan if any(map(math.isnan, values)) else max(values, key=abs)
            findings.append(at_most(code, abs(worst), 0, evidence=shown, phrase=phrase, unit="numbers"))
        return settle(findings)


def _run(outside: Sequence[float], foreign: Sequence[float]) -> Run:
    pairs = zip(outside, foreign, strict=True)
    return language.probed("learning_rates", *(dict(zip(KEYS, pair, strict=True)) for pair in pairs))


_CHECK = OptimizerCoverage()
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, _run([0, 0], [0, 0])),
    made.case("one_probe", _CHECK, _run([0], [0])),
)
FAILS: Sequence[Case] = (
    made.case("head_left_out", _CHECK, _run([257, 257], [0, 0]), "outside_optimizer", 257),
    made.case("replaced_layer", _CHECK, _run([0, 4096], [0, 4096]), measured=4096),
    made.case("nan", _CHECK, _run([0, math.nan], [0, 0]), measured=math.nan),
)
