"""batch_of_one: a variance is taken over a single item."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
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
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED if few[-1] is probes[-1] else Standing.LIKELY,
            phrase="a variance was taken over {tokens}, in {affected} of {probes}: a single item has none",
            evidence=(
                Fact("tokens", first.values["tokens"], "tokens", step=first.step),
                Fact("affected", len(few)),
                Fact("probes", len(probes), "probes"),
                Fact("variance", first.values.get("variance"), step=first.step),
            ),
            explains=frozenset({"halting_variance"}),
            ruled_out=evidence.ruled_out({"gradients_reach_every_parameter": "a dead halting head"}),
            fix="take the variance over all scored tokens of the validation set, and log nothing below two",
            next="lvmcheck explain halting_variance",
        )


def _run(*tokens: float) -> Run:
    return language.probed(
        "halting",
        *(
            {"tokens": n, "variance": math.nan if n < 2 else 0.4, "p_variance": 0.01, "mean": 2.0, "max": 3.0}
            for n in tokens
        ),
    )


PASSES = (
    case("many_tokens", _run(4096, 4096)),
    case("no_probe", language.epochs([ev.Note(text="nothing about halting")])),
)
FAILS = (
    case("last_batch_of_the_epoch", _run(4096, 1), affected=1, variance=math.nan),
    case("always", _run(1, 1), Standing.MEASURED, affected=2),
)
