"""ranks_begin_apart: every rank begins with weights of its own."""

from __future__ import annotations

from dataclasses import replace

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule, lasting
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

APART = 1e-4


class RanksBeginApart(Cause):
    "Every rank starts with different weights."

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        if not any(e.name == "ranks_begin" and e.values.get("apart", 0.0) > APART for e in evidence.run.of(Watch)):
            return None
        return Rule(
            checks=("ranks_agree",),
            phrase="every rank starts with different weights, and nothing broadcasts those of rank 0",
            fix="wrap the model in DistributedDataParallel, or broadcast its parameters before the first step",
        ).diagnosis(self.name(), evidence)


def _run(began: float, apart: float) -> Run:
    before = case_run("ranks_begin", [{"ranks": 2.0, "apart": began}])
    after = case_run("ranks", [{"ranks": 2.0, "apart": apart, "looks": 3.0, "over": 1.0}] * 3)
    return replace(after, events=(*before.events, *after.events))


PASSES = (case("alike", _run(0.0, 0.0)), case("alike_and_drifted", _run(0.0, 0.1)), UNWATCHED)
_FAILS = (case("apart", _run(0.7, 0.7), Standing.MEASURED),)
FAILS = (*_FAILS, lasting(_FAILS[0]))
