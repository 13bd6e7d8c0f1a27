"""dead_halting: the halting head never learns."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.model.declared_terms_in_graph import TermGradients
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

HEAD = ("halt", "ponder", "act_head")
"""What names of halting parameters and loss terms contain."""


class DeadHalting(Cause):
    """The halting head is not trained: no gradient reaches it, it is frozen, or the optimizer does not hold it."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        dead = _dead(evidence.run) if evidence.failed("gradients_reach_every_parameter") else []
        terms = _dead_terms(evidence.run) if evidence.failed("declared_terms_in_graph") else ()
        still = _untrained(evidence.run) if evidence.failed("optimizer_coverage") else ()
        if not dead and not terms and not still:
            return None
        variance = evidence.failed("halting_variance")
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="the halting head does not learn: no optimised loss term has a gradient in it"
            if dead or terms
            else "the halting head does not learn: no step changes its parameters",
            evidence=(
                *still,
                *((Fact("parameters_without_gradient", ", ".join(dead)),) if dead else ()),
                *terms,
                *(variance.evidence if variance else ()),
            ),
            explains=frozenset(
                {
                    "gradients_reach_every_parameter",
                    "declared_terms_in_graph",
                    "optimizer_coverage",
                    "halting_variance",
                    "halting_adapts",
                }
            ),
            ruled_out=evidence.ruled_out({"causal": "a label leak", "finite": "numerical problems"}),
            fix="train on the expectation over steps, weighted with the halting distribution, plus a ponder cost on "
            "their expected number; an integer of steps, a detached tensor or no_grad() has no gradient"
            if dead or terms
            else "set requires_grad of the head and make the optimizer from all of model.parameters()",
            next=f"lvmcheck explain {'gradients_reach_every_parameter' if dead or terms else 'optimizer_coverage'}",
        )


def _of_halting(name: str) -> bool:
    return any(part in name.lower() for part in HEAD)


def _untrained(run: Run) -> tuple[Fact, ...]:
    """Halting parameters that are frozen, or in no group of the optimizer."""
    stated = [event.metrics for event in run.of(ev.Evaluation) if event.name == "optimizer_coverage"]
    kinds = {"frozen": "frozen_parameters", "outside": "parameters_outside_optimizer"}
    found = {
        fact: dict.fromkeys(
            name.removeprefix(f"{kind}/")
            for metrics in stated
            for name, count in metrics.items()
            if name.startswith(f"{kind}/") and count > 0 and _of_halting(name)
        )
        for kind, fact in kinds.items()
    }
    return tuple(Fact(fact, ", ".join(names)) for fact, names in found.items() if names)


def _dead_terms(run: Run) -> tuple[Fact, ...]:
    """Gradient norm and value of each halting term that has no gradient."""
    measured = TermGradients(run)
    return measured.facts([name for name in measured.dead if _of_halting(name)])


def _dead(run: Run) -> list[str]:
    """Halting parameters without a gradient in any evaluation "gradients"."""
    measured = [event.metrics for event in run.of(ev.Evaluation) if event.name == "gradients"]
    names = dict.fromkeys(name for metrics in measured for name in metrics if _of_halting(name))
    return [name for name in names if all(metrics.get(name, 0.0) == 0.0 for metrics in measured)]


def _run(
    gradients: Mapping[str, float], terms: Mapping[str, float], p: float, coverage: Mapping[str, float] | None = None
) -> Run:
    held = {"outside": 0.0, "frozen": 0.0, "foreign": 0.0, "twice": 0.0}
    halting = {"mean": 3.0, "variance": 0.0, "p_variance": p, "tokens": 4096.0, "max": 3.0}
    return language.epochs(
        [
            ev.Evaluation(name="gradients", metrics=dict(gradients)),
            ev.Evaluation(name="term_gradients", metrics=dict(terms)),
            ev.Evaluation(name="optimizer_coverage", metrics={**held, **(coverage or {})}),
            ev.Probe(name="halting", epoch=1, step=100, values=halting),
        ],
        config={"loss": {"ce": 1.0, "ponder": 0.01}},
    )


_GRADIENTS = {"embedding.weight": 1e-3, "halting.weight": 2e-4}
_TERMS = {"ce": 1.1, "ponder": 0.02}
PASSES = (
    case("healthy", _run(_GRADIENTS, _TERMS, 0.01)),
    case("threshold_out_of_reach", _run(_GRADIENTS, _TERMS, 0.004)),
    case("another_parameter", _run({**_GRADIENTS, "memory.up.weight": 0.0}, _TERMS, 0.01)),
    case("another_parameter_frozen", _run(_GRADIENTS, _TERMS, 0.01, {"frozen": 64.0, "frozen/embedding.weight": 64.0})),
    case("not_a_number", _run({**_GRADIENTS, "halting.weight": math.nan}, _TERMS, 0.01)),
)
FAILS = (
    case(
        "mean_of_integers",
        _run({**_GRADIENTS, "halting.weight": 0.0}, {**_TERMS, "ponder": 0.0}, 0.0),
        Standing.MEASURED,
        parameters_without_gradient="halting.weight",
        gradient_norm_ponder=0.0,
    ),
    case("never_called", _run(_GRADIENTS, {"ce": 1.1}, 0.0), gradient_norm_ponder=None),
    case(
        "frozen",
        _run({"embedding.weight": 1e-3}, _TERMS, 0.0, {"frozen": 32.0, "frozen/halting.head.weight": 32.0}),
        Standing.MEASURED,
        frozen_parameters="halting.head.weight",
    ),
    case(
        "left_out_of_the_optimizer",
        _run(_GRADIENTS, _TERMS, 0.0, {"outside": 32.0, "outside/halting.head.weight": 32.0}),
        Standing.MEASURED,
        parameters_outside_optimizer="halting.head.weight",
    ),
)
