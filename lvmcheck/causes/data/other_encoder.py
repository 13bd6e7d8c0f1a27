"""other_encoder: the vectors of an OOD set live in another space."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.data import _gate_cases as gates


class OtherEncoder(Cause):
    """An OOD set was encoded by another encoder, or another build of it."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("ood_same_space")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or not math.isfinite(measured):
            return None
        if not finding.what.startswith("alignment"):  # a set may be hard to predict in the same space, too
            return None
        own, abroad = evidence.last("val_cosine"), evidence.last("ood_cosine")
        trained = f"ood cosine {abroad:.3f}, val cosine {own:.3f}" if own is not None and abroad is not None else None
        return Diagnosis(
            name=self.name(),
            sentence="the OOD vectors come from another encoder: they do not share the space of the training vectors",
            evidence=(finding.sentence(), *finding.evidence, *([trained] if trained else [])),
            ruled_out=evidence.ruled_out(
                {"reload_agrees": "the wrong class", "generalisation_gap": "memorisation", "lag_profile": "their order"}
            ),
            fix="encode the OOD texts with the encoder of the training set, and compare stored golden vectors",
            next="lvmcheck explain ood_same_space",
            score=0.85,
        )


_ROTATED = {
    "gate.ood.enwiki.space_alignment": -0.0198,
    "gate.ood.enwiki.space_overlap": 0.0203,
    "gate.ood.enwiki.space_mean_cosine": -0.0093,
}

PASSES: Sequence[CauseCase] = (
    CauseCase(name="other_subject", run=gates.run()),
    CauseCase(name="twin", run=gates.run(facts=gates.TWIN)),
    CauseCase(name="not_predictable", run=gates.run({"ood.pydoc.best_linear": 0.21})),
    CauseCase(name="not_a_number", run=gates.run({"gate.ood.pydoc.space_alignment": math.nan})),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="rotated", run=gates.run(_ROTATED), says=("another encoder", "-0.0198")),
    CauseCase(
        name="rotated_real_text",
        run=gates.run({"gate.ood.pydoc.space_alignment": -0.059, "ood.pydoc.best_linear": 0.5199}),
        says=("another encoder", "alignment of OOD pydoc"),
    ),
)
