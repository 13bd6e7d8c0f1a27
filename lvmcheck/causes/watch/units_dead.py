"""units_dead: units of a layer are never active."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import KILLERS, UNWATCHED, Rule, deep, lasting, lost_gradient, values
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.checks.watch.units_alive import MOST
from lvmcheck.run.view import run_from


class UnitsDead(Cause):
    """Units of a layer are never active."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        learned = evidence.failed("memorises") or evidence.failed("overfits")  # training does not suffer from them
        shares = values(evidence, "dead_units", "share")
        killed = shares[0] <= MOST if shares else lost_gradient(evidence)
        return Rule(
            standing=Standing.CONSISTENT if learned else Standing.MEASURED,
            # What was alive at first was killed by something, and a part that is not used has no dead units.
            after=(
                "graph_cut",
                *(("gradients_scaled_by_depth",) if deep(evidence) else ()),
                *(KILLERS if killed else ()),
                *(("updates_out_of_range",) if evidence.failed("weights_keep_size") else ()),
            ),
            checks=("units_alive", "gradient_reaches"),
            codes=("dead", "zero_gradient"),
            phrase="units of the layer are never active and get no gradient",
            fix=("lower the learning rate or warm up, centre the inputs, or use an activation with a slope below zero"),
        ).diagnosis(self.name(), evidence)


_BY_HEART = run_from({"train_loss": [1.4 * 0.7**i for i in range(20)], "val_loss": [1.4 + 0.1 * i for i in range(20)]})
PASSES = (
    case("alive", case_run("dead_units", [{"share": 0.2, "layers": 2}] * 2, ["0.bias"])),
    UNWATCHED,
)
_FAILS = (case("killed", case_run("dead_units", [{"share": 1.0, "layers": 2}] * 2, ["0.bias"]), Standing.MEASURED),)
FAILS = (*_FAILS, lasting(_FAILS[0]))
BESIDE = _FAILS[0].run.extended(_BY_HEART.events)
"""Dead units in a run that learns its training data by heart: labels come first."""
