"""memorisation: the model fits its training set and nothing beyond it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from


class Memorisation(Cause):
    """Train cosine rises while validation cosine does not: the training set is learned by heart."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("generalisation_gap")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or not math.isfinite(measured):
            return None
        size = _size(evidence)
        return Diagnosis(
            name=self.name(),
            sentence=f"memorisation: train cosine is {measured:.3f} above validation cosine",
            evidence=(*finding.evidence, *_latest(evidence), *size),
            ruled_out=evidence.ruled_out({"finite": "numerical trouble", "not_diverging": "divergence"}),
            fix="more sequences or fewer parameters, and stop at the best validation epoch",
            next="lvmcheck explain generalisation_gap",
            score=min(0.9, 0.5 + measured),
        )


def _latest(evidence: Evidence) -> tuple[str, ...]:
    train, val = evidence.last("train_cosine"), evidence.last("val_cosine")
    if train is None or val is None:
        return ()
    return (f"at the latest epoch ({evidence.run.last_epoch}): train cosine {train:.4f}, val cosine {val:.4f}",)


def _size(evidence: Evidence) -> tuple[str, ...]:
    """Parameters for each training sequence, where both are recorded."""
    models, windows = evidence.run.of(ev.Model), evidence.run.facts.get("train_windows")
    if not models or isinstance(windows, bool) or not isinstance(windows, int) or windows < 1:
        return ()
    parameters = models[-1].parameters
    return (f"{parameters:,} parameters for {windows:,} training sequences, {parameters / windows:,.0f} for each",)


_MAMBA2 = run_from({"train_cosine": made.MAMBA2_TRAIN, "val_cosine": made.lines(20, 0.0125, 0.0280, 0.0266)})
_SIZED = Run(
    events=(
        ev.Data(name="wiki_8k", fingerprint="0", facts={"train_windows": 7_296}),
        ev.Model(kind="gru", parameters=7_359_232),
        *_MAMBA2.events,
    ),
    done=_MAMBA2.done,
)

PASSES: Sequence[CauseCase] = (
    CauseCase(name="amn_584k", run=run_from({"train_cosine": made.AMN_584K_TRAIN, "val_cosine": made.AMN_584K_VAL})),
    CauseCase(name="not_a_number", run=run_from({"train_cosine": [math.nan], "val_cosine": [0.5]})),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="mamba2_october_13", run=_MAMBA2, says=("memorisation", "not: numerical trouble")),
    CauseCase(name="with_sizes", run=_SIZED, says=("7,359,232 parameters for 7,296",)),
)
