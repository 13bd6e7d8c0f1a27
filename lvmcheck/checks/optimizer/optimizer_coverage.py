"""optimizer_coverage: the optimizer trains every parameter of the model, and nothing else."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Outcome, not_recorded, pending
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

EVALUATION = "optimizer_coverage"
KINDS = {
    "outside": ("outside_optimizer", "{measured} of the model are in no parameter group of the optimizer"),
    "frozen": ("frozen", "{measured} of the model have requires_grad = False"),
    "foreign": ("not_in_model", "{measured} of the optimizer are not of the model"),
    "twice": ("updated_twice", "{measured} of the model are updated twice in a step"),
}
"""Kind of number -> code and phrase; the first that is above 0 is reported."""
SHOWN = 6
"""Names of parameters in a finding."""


@dataclass(frozen=True, kw_only=True)
class OptimizerCoverage(Check):
    """No number of the model is outside of the optimizer's groups, frozen, or updated twice, and none in them is
    foreign, in any of the evaluations "optimizer_coverage".

    The evaluation gives `outside`, `frozen`, `foreign` and `twice` as counts of numbers, and the first two by parameter
    (`outside/NAME`, `frozen/NAME`). `allow` holds patterns of names (`embedding.*`) that may be outside or frozen. The
    trainers of this project state it before the first step and after the last.

    Why:
    A parameter that no group holds has a gradient and never moves; one with requires_grad = False has none. The curves
    hardly show it: a classifier whose head was left out of the optimizer reaches the same accuracy, because the layers
    before it adapt, and a frozen halting head halts as it was initialised.

    Usual causes:
    - The optimizer was made before the model was complete, or before a layer was replaced.
    - Groups by name or by shape that do not cover every name.
    - Weights are copied instead of tied, so that one of both is foreign.
    - Parameters are frozen for one phase and never released.

    Fix:
    Make groups that partition model.parameters() and test that they do: each parameter in exactly one.

    Healthy runs that must pass:
    Layers that are frozen on purpose and named in `allow`; tied weights, counted once.

    Source:
    Layers that were replaced after the optimizer was made, in every framework that lets the user build both.
    """

    metric_fields = ()

    allow: tuple[str, ...] = ()

    def judge(self, run: Run) -> Outcome:
        stated = [event.metrics for event in run.of(ev.Evaluation) if event.name == EVALUATION]
        if not stated:
            missing = f"no evaluation {EVALUATION!r} is recorded"
            return not_recorded(missing) if complete(run) else pending(f"the evaluation {EVALUATION!r}")
        by_kind = {kind: max((self._count(kind, metrics) for metrics in stated), key=_worst) for kind in KINDS}
        kind = next((kind for kind, count in by_kind.items() if _worst(count) > 0), "outside")
        code, phrase = KINDS[kind]
        names = list(dict.fromkeys(name for metrics in stated for name in self._named(kind, metrics)))
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        listed = (Fact("parameters", ", ".join(names[:SHOWN]) + more),) if names else ()
        evidence = (Fact("evaluations", len(stated)), *listed)
        outcome = settle([at_most(code, by_kind[kind], 0, evidence=evidence, phrase=phrase, unit="numbers")])
        if kind == "outside" and not by_kind[kind] and not complete(run):
            return pending("the end of the run", evaluated=len(stated))
        return outcome

    def _named(self, kind: str, metrics: Mapping[str, float]) -> list[str]:
        """Parameters that are stated by name and not allowed."""
        names = [key.removeprefix(f"{kind}/") for key in metrics if key.startswith(f"{kind}/")]
        return [name for name in names if not self._allowed(name)]

    def _count(self, kind: str, metrics: Mapping[str, float]) -> float:
        """Numbers of that kind less those that are allowed; NaN where it is not stated."""
        allowed = [key for key in metrics if key.startswith(f"{kind}/") and self._allowed(key.removeprefix(f"{kind}/"))]
        return metrics.get(kind, float("nan")) - sum(metrics[key] for key in allowed)

    def _allowed(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.allow)


def _worst(count: float) -> float:
    """For comparison: a count that is not a number is worse than any."""
    return count if count == count else float("inf")


def _run(*stated: Mapping[str, float]) -> Run:
    return language.evaluated(EVALUATION, *({**_ALL_HELD, **each} for each in stated))


_ALL_HELD = {"outside": 0.0, "frozen": 0.0, "foreign": 0.0, "twice": 0.0}
_case = made.Cases(OptimizerCoverage())
_HEAD = {"frozen": 257.0, "frozen/halting.head.weight": 256.0, "frozen/halting.head.bias": 1.0}
PASSES = (
    _case("perfect_oracle", _run({}, {})),
    _case("one_evaluation", _run({})),
    made.case("frozen_on_purpose", OptimizerCoverage(allow=("halting.*",)), _run(_HEAD)),
)
FAILS = (
    _case(
        "head_left_out",
        _run({"outside": 257.0, "outside/head.weight": 256.0, "outside/head.bias": 1.0}),
        "outside_optimizer",
        257,
        parameters="head.weight, head.bias",
    ),
    _case("frozen_head", _run({}, _HEAD), "frozen", 257),
    made.case("other_head_frozen", OptimizerCoverage(allow=("embedding.*",)), _run(_HEAD), "frozen", 257),
    _case("replaced_layer", _run({}, {"outside": 4096.0, "foreign": 4096.0}), "outside_optimizer", 4096),
    _case("copied_weights", _run({"foreign": 4096.0}), "not_in_model", 4096),
    _case("in_two_groups", _run({"twice": 64.0}), "updated_twice", 64),
    _case("nan", _run({"foreign": float("nan")}), measured=float("nan")),
)
