"""overfitting: training went on long after the best validation epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run, run_from

METRIC = "val_cosine"
LOST = 0.03
"""Cosine lost since the best epoch; the healthy recorded run that overfits most, a GRU, loses 0.008."""
EARLY = 1 / 3
"""The best epoch lies in the first third of the run."""
STEEP = 0.5
"""Share of the loss that may fall into one step; more is a jump, not overfitting."""


class Overfitting(Cause):
    """Validation was best early and fell ever since, a little every epoch: nobody stopped the run."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        series = evidence.run.series(METRIC)
        values, epochs = series.values.tolist(), series.epochs.tolist()
        if len(values) < 3 or not all(map(math.isfinite, values)):
            return None
        best = max(range(len(values)), key=values.__getitem__)
        lost = values[best] - values[-1]
        # Where only some epochs are recorded a step stands for all between them.
        falls = [
            (values[i] - values[i + 1]) / (epochs[i + 1] - epochs[i]) if epochs[i + 1] > epochs[i] else math.inf
            for i in range(best, len(values) - 1)
        ]
        if not lost > LOST or not epochs[best] <= EARLY * epochs[-1] or not max(falls, default=0.0) <= STEEP * lost:
            return None
        falling = sum(fall > 0 for fall in falls)
        dense = epochs[-1] - epochs[best] == len(falls)
        return Diagnosis(
            name=self.name(),
            sentence=f"overfitting: validation was best at epoch {epochs[best]} of {epochs[-1]} and fell ever since",
            evidence=(
                f"val cosine {values[best]:.4f} at epoch {epochs[best]}, {values[-1]:.4f} at epoch {epochs[-1]}",
                *([f"it fell in {falling} of the {len(falls)} epochs after the best"] if dense else []),
            ),
            ruled_out=evidence.ruled_out({"finite": "numerical trouble", "lag_profile": "a scrambled order"}),
            fix="stop at the best validation epoch and keep its checkpoint; then more data or fewer parameters",
            next="lvmcheck explain generalisation_gap",
            score=0.55,
        )


def _sparse(points: dict[int, float]) -> Run:
    runs = [run_from({METRIC: [value]}, first=epoch) for epoch, value in points.items()]
    return Run(events=tuple(event for run in runs for event in run.events), done={"status": "finished"})


PASSES: Sequence[CauseCase] = (
    CauseCase(name="amn_584k", run=made.val_run(made.AMN_584K_VAL)),
    CauseCase(name="attempt_2", run=made.val_run(made.AMN_790K_2_VAL)),
    CauseCase(name="gru_80k", run=_sparse({1: 0.3857, 13: 0.5754, 20: 0.5675})),
    CauseCase(name="collapsed_at_once", run=made.val_run((0.50, 0.55, *[0.54] * 6, 0.20))),
    CauseCase(name="not_a_number", run=made.val_run((0.5, 0.6, math.nan, 0.3))),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="mlp_44k", run=_sparse({1: 0.480, 2: 0.487, 29: 0.397}), says=("epoch 2 of 29", "0.3970")),
    CauseCase(
        name="a_little_every_epoch",
        run=made.val_run([0.638, 0.649, *made.lines(27, 0.645, 0.594)]),
        says=("in 27 of the 27 epochs",),
    ),
)
