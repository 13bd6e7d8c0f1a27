"""batch_of_one: a variance is taken over a single item."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

FEW = 2
"""Items below which a variance does not exist."""


class BatchOfOne(Cause):
    """A variance over a batch of one item: it does not exist, whatever its name, and says nothing about the model."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        probes = evidence.run.probes("halting")
        few = [probe for probe in probes if probe.values.get("tokens", math.inf) < FEW]
        if not few:
            return None
        first = few[0]
        value = first.values.get("variance")
        shown = "absent" if value is None else "NaN" if math.isnan(value) else f"{value:g}"
        return Diagnosis(
            name=self.name(),
            sentence="a variance was taken over a single item: there is none",
            evidence=(
                f"{len(few)} of {len(probes)} probes of halting saw {first.values['tokens']:.0f} tokens; "
                f"variance there: {shown} (step {first.step:,})",
                "a dead halting head has a variance of 0 over many tokens, too",
            ),
            ruled_out=evidence.ruled_out({"gradients_reach_every_parameter": "a dead halting head"}),
            fix="take the variance over all scored tokens of the validation set, and log nothing below two",
            next="lvmcheck explain halting_variance",
            score=0.75 if first is probes[-1] or few[-1] is probes[-1] else 0.3,
        )


def _run(*tokens: float) -> Run:
    return language.probed(
        "halting",
        *(
            {"tokens": n, "variance": math.nan if n < 2 else 0.4, "p_variance": 0.01, "mean": 2.0, "max": 3.0}
            for n in tokens
        ),
    )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="many_tokens", run=_run(4096, 4096)),
    CauseCase(name="no_probe", run=language.epochs([ev.Note(text="nothing about halting")])),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="last_batch_of_the_epoch", run=_run(4096, 1), says=("1 of 2 probes", "variance there: NaN")),
    CauseCase(name="always", run=_run(1, 1), says=("2 of 2 probes",)),
)
