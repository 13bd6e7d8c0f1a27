"""lr_not_wired: the optimizer does not use the learning rate that is configured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run.view import Run

PROBE = "learning_rates"
READ = "read group['lr'] in the optimizer's step, not the value of the constructor"
PHRASES = {
    "updates_ignore_lr": ("the learning rate is not wired: updates do not follow the rate of their group", READ),
    "updated_at_lr_0": ("the learning rate is not wired: parameters move at a rate of 0", READ),
    "not_the_planned_lr": (
        "the schedule is not wired: a group does not have the rate that the schedule wants",
        "step the scheduler that belongs to this optimizer, once for each optimizer step",
    ),
    "not_the_configured_lr": (
        "the configured learning rate is not the one that is used",
        "build the optimizer from the configuration, and let no preset override it",
    ),
}


class LrNotWired(Cause):
    """Learning rates are configured, scheduled and printed, and the optimizer steps with others."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("effective_lr_matches_config")
        if finding is None or not math.isfinite(finding.number) or finding.code not in PHRASES:
            return None
        phrase, fix = PHRASES[finding.code]
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase=phrase,
            evidence=finding_facts(finding),
            explains=frozenset({"effective_lr_matches_config", "nothing_learned"}),
            ruled_out=evidence.ruled_out({"grad_norm_bounded": "exploding gradients", "finite": "numerical problems"}),
            fix=fix,
            next="lvmcheck explain effective_lr_matches_config",
        )


def _run(planned: Sequence[float], used: Sequence[float], updates: Sequence[float], base: float = 0.02) -> Run:
    values = [
        {"hidden/planned_lr": base * plan, "hidden/lr": base * rate, "hidden/update_rms": update}
        for plan, rate, update in zip(planned, used, updates, strict=True)
    ]
    return language.probed(PROBE, *values, config={"muon_lr": 0.02, "lr": 1e-3})


_SHAPE = (0.3, 1.0, 0.7, 0.4, 0.1)
_FLAT = (1.0,) * 5
PASSES = (
    case("wired", _run(_SHAPE, _SHAPE, _SHAPE)),
    case("constant", _run(_FLAT, _FLAT, _FLAT)),
    case("not_a_number", _run(_SHAPE, _SHAPE, (math.nan,) * 5)),
    case("nothing_moves", _run(_FLAT, _FLAT, (0.0,) * 5)),
)
FAILS = (
    case("constructor_wins", _run(_SHAPE, _SHAPE, _FLAT), Standing.MEASURED),
    case("never_stepped", _run(_SHAPE, _FLAT, _FLAT)),
    case("preset_wins", _run(_FLAT, _FLAT, _FLAT, base=1e-3), configured_lr=0.02),
)
