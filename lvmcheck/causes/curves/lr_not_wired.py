"""lr_not_wired: the optimizer does not use the learning rate that is configured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run.view import Run

PROBE = "learning_rates"


class LrNotWired(Cause):
    """Learning rates are configured, scheduled and printed, and the optimizer steps with others."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("effective_lr_matches_config")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or not math.isfinite(measured):
            return None
        if finding.what.startswith("slope"):
            sentence = "the learning rate is not wired: updates do not follow the rate of their group"
            fix = "read group['lr'] in the optimizer's step, not the value of the constructor"
        elif finding.what.startswith("smallest update"):
            return None  # nothing moves at all: no question of rates
        elif finding.what.startswith("largest update"):
            sentence = "the learning rate is not wired: parameters move at a rate of 0"
            fix = "read group['lr'] in the optimizer's step, not the value of the constructor"
        elif "from the planned one" in finding.what:
            sentence = "the schedule is not wired: a group does not have the rate that the schedule wants"
            fix = "step the scheduler that belongs to this optimizer, once for each optimizer step"
        else:
            sentence = "the configured learning rate is not the one that is used"
            fix = "build the optimizer from the configuration, and let no preset override it"
        return Diagnosis(
            name=self.name(),
            sentence=sentence,
            evidence=(
                finding.sentence(),
                *finding.evidence,
                "a schedule that is constant by configuration would look the same in the updates, not in planned_lr",
            ),
            ruled_out=evidence.ruled_out({"grad_norm_bounded": "exploding gradients", "finite": "numerical trouble"}),
            fix=fix,
            next="lvmcheck explain effective_lr_matches_config",
            score=0.9,
        )


def _run(planned: Sequence[float], used: Sequence[float], updates: Sequence[float], base: float = 0.02) -> Run:
    values = [
        {"hidden/planned_lr": base * plan, "hidden/lr": base * rate, "hidden/update_rms": update}
        for plan, rate, update in zip(planned, used, updates, strict=True)
    ]
    return language.probed(PROBE, *values, config={"muon_lr": 0.02, "lr": 1e-3})


_SHAPE = (0.3, 1.0, 0.7, 0.4, 0.1)
_FLAT = (1.0,) * 5
PASSES: Sequence[CauseCase] = (
    CauseCase(name="wired", run=_run(_SHAPE, _SHAPE, _SHAPE)),
    CauseCase(name="constant", run=_run(_FLAT, _FLAT, _FLAT)),
    CauseCase(name="not_a_number", run=_run(_SHAPE, _SHAPE, (math.nan,) * 5)),
    CauseCase(name="nothing_moves", run=_run(_FLAT, _FLAT, (0.0,) * 5)),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="constructor_wins", run=_run(_SHAPE, _SHAPE, _FLAT), says=("not wired", "slope")),
    CauseCase(name="never_stepped", run=_run(_SHAPE, _FLAT, _FLAT), says=("the schedule wants",)),
    CauseCase(
        name="preset_wins",
        run=_run(_FLAT, _FLAT, _FLAT, base=1e-3),
        says=("is not the one that is used", "configured 0.02"),
    ),
)
