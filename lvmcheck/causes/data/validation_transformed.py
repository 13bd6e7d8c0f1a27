"""validation_transformed: validation vectors were centred, scaled or encoded in another way than training vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.data import _gate_cases as gates
from lvmcheck.checks.finding import facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

PHRASES = {
    "other_space": "validation vectors are in another space than training vectors (alignment {alignment}): another "
    "encoder, or dimensions in another order",
    "mean": "validation vectors were centred or standardised, and training vectors were not: {mean_kept} of the "
    "training mean is left",
    "length": "validation vectors have another scale: {relative_length} times the length of training vectors",
}
FIXES = {
    "other_space": "encode both sides with one encoder, and compare stored golden vectors",
    "mean": "take whatever is subtracted or divided from the training set, and apply it to both sides",
    "length": "normalise both sides with one function",
}


class ValidationTransformed(Cause):
    """Validation vectors went through something that training vectors did not: the model cannot follow them there."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("validation_same_space")
        if finding is None or finding.code not in PHRASES or math.isnan(finding.number):
            return None
        trained = {metric: evidence.last(metric) for metric in ("train_cosine", "val_cosine")}
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase=PHRASES[finding.code],
            evidence=(
                *finding_facts(finding),
                *facts({metric: value for metric, value in trained.items() if value is not None}),
            ),
            explains=frozenset(
                {
                    *("validation_same_space", "unit_norm", "difficulty_parity", "lag_profile"),
                    *("generalisation_gap", "memorises", "overfits", "beats_baselines", "cosine_floor"),
                    *("val_loss_descends", "improves", "nothing_learned", "split_disjoint"),
                }
            ),
            ruled_out=evidence.ruled_out({"document_order": "another order of the rows", "split_disjoint": "a leak"}),
            fix=FIXES[finding.code],
            next="lvmcheck explain validation_same_space",
        )


def _trained(changes: Mapping[str, ev.Value]) -> Run:
    """A run that fits its training set while validation stays behind."""
    curves = run_from({"train_cosine": made.MAMBA2_TRAIN, "val_cosine": made.lines(20, 0.0125, 0.0280, 0.0266)})
    return made.with_facts(curves, {**gates.WIKITEXT, **changes})


_CENTRED = {"gate.validation.space_mean_kept": 0.01, "gate.validation.space_length": 1.0}
_ROTATED = {"gate.validation.space_alignment": 0.03, "gate.validation.space_mean_kept": -0.02}

PASSES = (
    case("wikitext", gates.run()),
    case("twin", gates.run(facts=gates.TWIN)),
    case("a_gap_of_its_own", _trained({})),
    case("not_a_number", gates.run({"gate.validation.space_alignment": math.nan})),
)
FAILS = (
    case("centred", _trained(_CENTRED), Standing.MEASURED, mean_kept=0.01),
    case("another_encoder", _trained(_ROTATED), alignment=0.03),
    case("half_as_long", gates.run({"gate.validation.space_length": 0.5}), relative_length=0.5),
)
