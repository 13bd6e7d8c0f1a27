"""dead_halting: the halting head never learns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

HEAD = ("halt", "ponder", "act_head")
"""What names of halting parameters and loss terms contain."""


class DeadHalting(Cause):
    """No gradient reaches the halting head, so that every token takes the same number of steps for ever."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        dead = _dead(evidence.run, "gradients", evidence.failed("gradients_reach_every_parameter") is not None)
        term = evidence.failed("declared_terms_in_graph")
        halting = [sentence for sentence in (term.evidence[:-1] if term else ()) if _about_halting(sentence)]
        if not dead and not halting:
            return None
        variance = evidence.failed("halting_variance")
        return Diagnosis(
            name=self.name(),
            sentence="the halting head is dead: nothing that is optimised has a gradient in it",
            evidence=(
                *([f"gradient 0 in {', '.join(dead)}"] if dead else []),
                *halting,
                *(variance.evidence if variance else ()),
                "a threshold out of reach looks the same in the steps; there the halting probability varies",
            ),
            ruled_out=evidence.ruled_out({"causal": "a label leak", "finite": "numerical trouble"}),
            fix="train on the expectation over steps, weighted with the halting distribution, plus a ponder cost on "
            "their expected number; an integer of steps has no gradient",
            next="lvmcheck explain gradients_reach_every_parameter",
            score=0.9,
        )


def _about_halting(text: str) -> bool:
    return any(part in text.partition(" ")[0].lower() for part in HEAD)


def _dead(run: Run, name: str, failed: bool) -> list[str]:
    """Halting parameters without a gradient in any evaluation of that name."""
    if not failed:
        return []
    said = [event.metrics for event in run.of(ev.Evaluation) if event.name == name]
    names = dict.fromkeys(name for metrics in said for name in metrics if _about_halting(name))
    return [name for name in names if all(metrics.get(name, 0.0) == 0.0 for metrics in said)]


def _run(gradients: Mapping[str, float], terms: Mapping[str, float], p: float) -> Run:
    halting = {"mean": 3.0, "variance": 0.0, "p_variance": p, "tokens": 4096.0, "max": 3.0}
    return language.epochs(
        [
            ev.Evaluation(name="gradients", metrics=dict(gradients)),
            ev.Evaluation(name="term_gradients", metrics=dict(terms)),
            ev.Probe(name="halting", epoch=1, step=100, values=halting),
        ],
        config={"loss": {"ce": 1.0, "ponder": 0.01}},
    )


_GRADIENTS = {"embedding.weight": 1e-3, "halting.weight": 2e-4}
_TERMS = {"ce": 1.1, "ponder": 0.02}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=_run(_GRADIENTS, _TERMS, 0.01)),
    CauseCase(name="threshold_out_of_reach", run=_run(_GRADIENTS, _TERMS, 0.004)),
    CauseCase(name="another_parameter", run=_run({**_GRADIENTS, "memory.up.weight": 0.0}, _TERMS, 0.01)),
    CauseCase(name="not_a_number", run=_run({**_GRADIENTS, "halting.weight": math.nan}, _TERMS, 0.01)),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="mean_of_integers",
        run=_run({**_GRADIENTS, "halting.weight": 0.0}, {**_TERMS, "ponder": 0.0}, 0.0),
        says=("gradient 0 in halting.weight", "ponder has gradient norm 0", "variance of the halting probability 0"),
    ),
    CauseCase(name="never_called", run=_run(_GRADIENTS, {"ce": 1.1}, 0.0), says=("ponder is declared and was not",)),
)
