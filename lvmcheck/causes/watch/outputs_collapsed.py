"""outputs_collapsed: the model gives the same output for every row."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class OutputsCollapsed(Cause):
    """The model gives the same output for every row."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("outputs_vary", "embeddings_apart"),
            standing=Standing.LIKELY,
            probes=("output_varies",),
            phrase="the output does not depend on the input any more",
            fix="compare the loss with that of a constant; find the first module whose outputs are equal",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="varied", run=case_run("outputs", [{"spread": 0.5, "input_spread": 2.0, "rows": 32}] * 5)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="collapsed",
        run=case_run("outputs", [{"spread": 0.0, "input_spread": 2.0, "rows": 32}] * 5),
        standing=Standing.LIKELY,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
