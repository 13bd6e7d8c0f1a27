"""first_updates_small: no step replaces the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.checks.watch._watched import Cases, Watched, names, unless_it_learned
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST, MUCH = 0.25, 0.5


@dataclass(frozen=True, kw_only=True)
class FirstUpdatesSmall(Watched):
    """In no three measured steps in a row the middle update of the weight matrices is more than a quarter of their
    size; matrices that are small for their number of inputs do not count. Up to a half it fails only where the run ends
    and neither its training loss nor an evaluation got better.

    Why:
    Three such steps leave nothing of the initialisation: units die or saturate in the first steps, and later ratios
    look usual because the weights have grown to fit the rate.

    Usual causes:
    - A learning rate for Adam that is ten to a hundred times too high (0.1 in place of 1e-3), or one meant for SGD.
    - No warm-up where the first steps of Adam have the full size of the rate.

    Fix:
    Lower the learning rate until the first updates are about 1e-3 to 1e-2 of the weights, or warm up.

    Healthy runs that must pass:
    Embeddings, adapters and output layers that begin at zero or small; one leap at the first step; fine-tuning; linear
    models, which have one matrix and no units.

    Source:
    This project's list of faults in training loops: update ratio out of range.
    """

    exempt: ClassVar = {"nan": LEVELS["nan"]}
    event = "update_ratio"
    streak = 3

    def judge(self, run: Run) -> Outcome:
        return unless_it_learned(super().judge(run), run, MUCH)

    def look(self, event: Watch) -> Finding | None:
        usual = event.values.get("usual")
        linear = len(event.subjects) > 1 and len(set(event.subjects)) == 1
        if usual is None or linear:  # of one matrix alone no unit behind it can die
            return None
        return Finding(
            code="replaces_the_weights",
            measured=usual,
            bounds=(ceiling(MOST),),
            evidence=(Fact("highest", event.values.get("highest")), *names(event)),
            phrase="updates are {measured} of the weights in the first steps",
        )


_case = Cases(FirstUpdatesSmall())
_SAMPLE = {"median": 1e-3, "lowest": 1e-4, "highest": 5e-3, "share_of_rate": 1.0, "usual": 1e-3}
PASSES = (
    _case("perfect_oracle", [_SAMPLE] * 4, measured=1e-3),
    _case("one_leap", [{**_SAMPLE, "usual": 0.6}, *[{**_SAMPLE, "usual": 0.05}] * 3]),
    _case("small_embeddings", [{**_SAMPLE, "median": 0.9, "highest": 3.0}] * 4),
)
FAILS = (
    _case("adam_at_0_1", [{**_SAMPLE, "usual": v} for v in (1.1, 0.6, 0.34)], "replaces_the_weights", 0.34, step=3),
    _case("not_a_number", [{**_SAMPLE, "usual": math.nan}] * 3),
)
