"""collapse: the model answers the same whatever it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run, run_from


class Collapse(Cause):
    """Predictions are one vector, whatever the context: a constant, however good its mean cosine looks."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("prediction_diversity")
        alike = evidence.last("val_self_similarity")
        if finding is None or alike is None or not alike > 0.9:  # a NaN names no cause
            return None
        constant, val = evidence.run.facts.get("constant_mean"), evidence.last("val_cosine")
        near = isinstance(constant, float) and val is not None
        return Diagnosis(
            name=self.name(),
            sentence="collapse: the predictions are nearly one and the same vector",
            evidence=(
                finding.sentence(),
                *finding.evidence,
                *([f"val cosine {val:.3f}, a constant prediction {constant:.3f}"] if near else []),
            ),
            ruled_out=evidence.ruled_out({"finite": "numerical trouble", "lag_profile": "a scrambled order"}),
            fix="compare mean of context with constant mean: if they are close the data are at fault, "
            "else train longer or at a lower learning rate",
            next="lvmcheck explain prediction_diversity",
            score=0.65,
        )


def _run(alike: float, val: float) -> Run:
    said = {"val_self_similarity": [alike], "val_target_mean_direction": [0.491], "val_cosine": [val]}
    return made.with_facts(run_from(said), {"constant_mean": 0.484})


PASSES: Sequence[CauseCase] = (
    CauseCase(name="amn_on_the_twin", run=_run(0.458, 0.537)),
    CauseCase(name="not_a_number", run=_run(float("nan"), 0.5)),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="constant", run=_run(1.0, 0.484), says=("collapse", "a constant prediction 0.484")),
    CauseCase(name="nearly", run=_run(0.985, 0.486), says=("0.98",)),
)
