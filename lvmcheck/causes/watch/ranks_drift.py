"""ranks_drift: every rank trains a model of its own."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule, lasting
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.events import Watch

APART = 1e-4


class RanksDrift(Cause):
    """Every rank trains a model of its own."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        began = [e.values.get("apart", 0.0) for e in evidence.run.of(Watch) if e.name == "ranks_begin"]
        if any(apart > APART for apart in began):
            return None  # they began apart, which is another cause
        return Rule(
            checks=("ranks_agree",),
            phrase="the ranks hold different weights after a step: each trains its own model",
            fix="call the model that DistributedDataParallel returns, not the module inside it",
        ).diagnosis(self.name(), evidence)


PASSES = (case("equal", case_run("ranks", [{"ranks": 2.0, "apart": 0.0}] * 4)), UNWATCHED)
_FAILS = (case("raw_module_called", case_run("ranks", [{"ranks": 2.0, "apart": 0.01}] * 3), Standing.MEASURED),)
FAILS = (*_FAILS, lasting(_FAILS[0]))
