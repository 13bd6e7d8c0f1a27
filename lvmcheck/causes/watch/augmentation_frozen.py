"""augmentation_frozen: the random augmentation draws the same numbers each time."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.events import Watch


class AugmentationFrozen(Cause):
    """The random augmentation draws the same numbers each time."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        if evidence.failed("augmentation_varies") is None and any(
            e.name == "rank_rows" and e.values.get("same", 1.0) <= 0.5 for e in evidence.run.of(Watch)
        ):
            return None  # a distributed sampler draws by epoch and not from the generator: ranks_epoch_never_set
        return Rule(
            checks=("augmentation_varies", "random_state_advances"),
            explains=("overfits", "memorises", "epoch_order_changes"),
            phrase="the random augmentation of a row draws the same numbers each time",
            fix="draw from the global generator, or seed by epoch and index; never by the index alone",
        ).diagnosis(self.name(), evidence)


PASSES = (case("healthy", case_run("augmentation", [{"draws": 144.0, "same": 0.0}])), UNWATCHED)
FAILS = (
    case("seeded", case_run("augmentation", [{"draws": 144.0, "same": 1.0}]), Standing.MEASURED),
    case("one_number", case_run("augmentation", [{"draws": 1.0, "same": 1.0}]), Standing.MEASURED),
)
