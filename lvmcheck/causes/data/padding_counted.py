"""padding_counted: the loss includes padding."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import Rule
from lvmcheck.checks.finding import facts
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.watch._watched import case_run


class PaddingCounted(Cause):
    """Padding is scored like text: the easiest token dilutes the loss, and the model learns to pad."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        seen = Rule(
            checks=("padding_not_scored",),
            phrase="padding is scored: {scored} of the targets that the loss counts",
            fix="give padding the ignored target (-100), and divide by the number of targets that are left",
            explains=("tokens_scored_once", "too_good_to_be_true", "loss_fits_accuracy"),
        ).diagnosis(self.name(), evidence)
        if seen is not None:
            return seen
        finding = evidence.failed("tokens_scored_once")
        if finding is None or finding.code != "scored_more" or not math.isfinite(finding.number):
            return None
        loss = evidence.last("train_loss")
        return Diagnosis(
            name=self.name(),
            standing=Standing.LIKELY,
            phrase="padding is scored: {targets_per_token} targets for each token of the records",
            evidence=(
                *facts(targets_per_token=1 + finding.number),
                *finding.evidence,
                *(facts(train_loss=loss) if loss is not None else ()),
            ),
            explains=frozenset({"tokens_scored_once"}),
            ruled_out=evidence.ruled_out(
                {"causal": "a missing causal mask", "stage_changes_data": "another stage's data"}
            ),
            fix="give padding the ignored target (-100), and divide by the number of targets that are left",
            next="lvmcheck explain tokens_scored_once",
        )


PASSES = (
    case("healthy", language.staged(1000, [500, 500])),
    case("left_over_batches_dropped", language.staged(1000, [500, 400])),
)
FAILS = (
    case(
        "seen_in_the_loop", case_run("padding", [{"share": 0.45, "rows": 0.9, "lengths": 7.0}] * 3), Standing.MEASURED
    ),
    case("no_ignored_index", language.staged(1000, [800, 800]), targets_per_token=1.6),
    case("little_padding", language.staged(1000, [550, 550]), targets_per_token=1.1),
)
