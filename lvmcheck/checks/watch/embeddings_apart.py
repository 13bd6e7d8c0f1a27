"""embeddings_apart: different rows do not get the same embedding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Cases, Series, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST, SOLVED, LATE, ROSE = 0.98, 0.9, 20, 0.1
"""Mean cosine, the same once the loss is solved, the step from which it counts, and how far it must have risen."""
FELL = 0.05
"""Share of its first value at which a training loss is solved."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingsApart(Series):
    """Embeddings (outputs of length 1, and what normalize or cosine_similarity is given) of different rows of a batch
    have a mean cosine of at most 0.98, and of at most 0.9 once the training loss has fallen to a twentieth: not
    above it in ten measured steps in a row after step 20, having risen by more than 0.1 since the first.

    Why:
    Attraction without repulsion has a trivial answer, one point for everything, at which the loss is 0.

    Usual causes:
    - Only pairs that belong together are compared: no negatives.
    - The target net of siamese training gets the gradient; the predictor is missing.

    Fix:
    Contrast with the other rows of the batch, or stop the gradient and keep a predictor.

    Healthy runs that must pass:
    Embeddings that are alike at the start of training; siamese training with a slow target; the hardest negatives of a
    batch, which drive everything together at first.

    Source:
    This project's list of checks: embedding_collapse.
    """

    event = "embeddings"
    needs = 10

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        """Hard negatives draw everything together, too, but their loss stays at the margin until it comes apart."""
        outcome, solved = super().decide_on(run, events), _solved(run)
        late = [event for event in events if solved is not None and event.step > max(LATE, solved)]
        for end in range(self.needs, len(late) + 1 if outcome.status is not Status.FAILED else 0):
            finding = self.look_at(late[end - self.needs : end])
            if finding is not None and finding.number > SOLVED:
                return failed(replace(finding, bounds=(ceiling(SOLVED),)), evaluated=end)
        return outcome

    def look_at(self, events: Sequence[Watch]) -> Finding | None:
        late = [event for event in events if event.step > LATE]
        if len(late) < self.needs:
            return None
        values = [event.values.get("alike", math.nan) for event in late]
        began = late[-1].values.get("began", 0.0)
        lowest = math.nan if any(map(math.isnan, values)) else min(values)
        return Finding(
            code="one_point",
            measured=0.0 if lowest - began <= ROSE else lowest,
            bounds=(ceiling(MOST),),
            step=late[-1].step,
            evidence=(Fact("at_first", began),),
            phrase="mean cosine between the embeddings of different rows {measured}, at first {at_first}",
        )


def _solved(run: Run) -> int | None:
    """The step at which the training loss had fallen to a twentieth of its first value; None where it did not."""
    first = run.windows[0].loss_mean if run.windows else 0.0
    return next((w.last_step for w in run.windows if first > 0 and w.loss_mean <= FELL * first), None)


_CHECK = EmbeddingsApart()
_case = Cases(_CHECK)
_APART = {"alike": 0.1, "began": 0.5}
_NEAR = {"alike": 0.975, "began": 0.5}
_ONE = {"alike": 0.995, "began": 0.5}
PASSES = (
    _case("perfect_oracle", [{**_APART, "alike": 0.0}] * 40),
    _case("driven_together_at_first", [_APART] * 9 + [_NEAR] * 40 + [_APART] * 9),
    _case("alike_at_first", [_ONE] * 20 + [_APART] * 30),
)
FAILS = (
    made.case(
        "near_one_point_and_solved",
        _CHECK,
        case_run("embeddings", [_NEAR] * 60).extended(made.window_run([1.0, 0.01], steps=10).events),
        "one_point",
        0.975,
    ),
    _case("attraction_only", [_APART] * 10 + [_ONE] * 40, "one_point", 0.995),
    _case("not_a_number", [{**_APART, "alike": math.nan}] * 40),
)
