"""other_encoder: the vectors of an OOD set are in another space than the training vectors."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.data import _gate_cases as gates
from lvmcheck.checks.finding import facts


class OtherEncoder(Cause):
    """An OOD set was encoded by another encoder, or another build of it."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("ood_same_space")
        # A set may be hard to predict in the same space, too: only the alignment tells another space.
        if finding is None or finding.code != "alignment" or not math.isfinite(finding.number):
            return None
        trained = {metric: evidence.last(metric) for metric in ("val_cosine", "ood_cosine")}
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="{part} does not share the space of the training vectors (alignment {alignment}): another encoder",
            evidence=(
                *finding_facts(finding),
                *facts({metric: value for metric, value in trained.items() if value is not None}),
            ),
            explains=frozenset({"ood_same_space", "ood_holds"}),
            ruled_out=evidence.ruled_out(
                {"reload_agrees": "the wrong class", "generalisation_gap": "memorisation", "lag_profile": "their order"}
            ),
            fix="encode the OOD texts with the encoder of the training set, and compare stored golden vectors",
            next="lvmcheck explain ood_same_space",
        )


_ROTATED = {
    "gate.ood.enwiki.space_alignment": -0.0198,
    "gate.ood.enwiki.space_overlap": 0.0203,
    "gate.ood.enwiki.space_mean_cosine": -0.0093,
}

PASSES = (
    case("other_subject", gates.run()),
    case("twin", gates.run(facts=gates.TWIN)),
    case("not_predictable", gates.run({"ood.pydoc.best_linear": 0.21})),
    case("not_a_number", gates.run({"gate.ood.pydoc.space_alignment": math.nan})),
)
FAILS = (
    case("rotated", gates.run(_ROTATED), Standing.MEASURED, alignment=-0.0198),
    case(
        "rotated_real_text",
        gates.run({"gate.ood.pydoc.space_alignment": -0.059, "ood.pydoc.best_linear": 0.5199}),
        part="ood.pydoc",
        alignment=-0.059,
    ),
)
