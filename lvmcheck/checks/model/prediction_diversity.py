"""prediction_diversity: predictions differ from each other about as targets do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Finding, Outcome, compared, facts
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import at_epoch, awaiting, check_count, check_number, complete
from lvmcheck.run.view import Run, run_from


@dataclass(frozen=True, kw_only=True)
class PredictionDiversity(Check):
    """At the end (or at `epoch`) predictions are at most `max_collapse` of the way from their targets to a constant.

    collapse = (s - t) / (1 - t), with s the mean cosine of two predictions (`metric`) and t that of two targets, the
    square of the targets' cosine with their own mean (`target_direction`). 0 is as diverse as the targets, 1 a
    constant.

    Why:
    A model whose prediction is the mean of the targets for every input reaches the constant-mean cosine (.42 to .49 on
    the original project's corpora), which many a floor lets through. Nothing in the loss curve shows it.

    Usual causes:
    - The order of the rows is destroyed, so that the mean is all there is to learn.
    - The learning rate or a regulariser is far too high; dead activations before the output.
    - One epoch of too few steps: the mean is what is learned first.

    Fix:
    Compare the mean of context with the constant mean on the same data: if they are close, the data are at fault; if
    not, train longer or at another learning rate.

    Healthy runs that must pass:
    A regression predictor is less diverse than its targets by nature: AMN on the twin 0.29, the best linear predictor
    0.50 to 0.53.

    Source:
    history 6 (diversity of predictions .393, targets .864, from the wrong class); measured on the twin.
    """

    metric: str = "val_self_similarity"
    target_direction: str = "val_target_mean_direction"
    max_collapse: float = 0.9
    epoch: int | Literal["final"] = "final"

    metric_fields = ("metric", "target_direction")

    def __post_init__(self) -> None:
        check_number("max_collapse", self.max_collapse, 0.0, 1.0)
        if self.epoch != "final":
            check_count("epoch", self.epoch)

    def detail(self) -> str:
        return "" if self.epoch == "final" else f"@{self.epoch}"

    def due(self, epochs: int) -> int:
        return self.epoch if isinstance(self.epoch, int) else epochs

    def judge(self, run: Run) -> Outcome:
        if self.epoch == "final" and not complete(run):
            return awaiting(run, "the final epoch")
        epoch = self.epoch if isinstance(self.epoch, int) else run.last_epoch
        alike, direction = (at_epoch(run, metric, epoch) for metric in (self.metric, self.target_direction))
        if isinstance(alike, Outcome):
            return alike
        if isinstance(direction, Outcome):
            return direction
        targets = direction * direction
        collapse = (alike - targets) / (1.0 - targets) if targets < 1.0 else math.nan
        return compared(
            Finding(
                code="collapse",
                measured=collapse,
                bounds=(ceiling(self.max_collapse),),
                epoch=epoch,
                evidence=facts(similarity_of_predictions=alike, similarity_of_targets=targets),
                phrase="collapse of the predictions towards a constant {measured}",
            )
        )


def _run(alike: Sequence[float], direction: float = 0.491) -> Run:
    return run_from({"val_self_similarity": alike, "val_target_mean_direction": [direction] * len(alike)})


_case = made.Cases(PredictionDiversity())

PASSES = (
    _case("perfect_oracle", _run([0.241])),
    _case("amn_on_the_twin", _run([0.456, 0.474, 0.469, 0.458])),
    _case("linear_mixture_on_the_twin", _run([0.643, 0.625, 0.618, 0.618])),
    _case("constant_at_first", _run([0.99, 0.70])),
    _case("no_common_direction", _run([0.10], direction=0.20)),
)
FAILS = (
    _case("constant", _run([0.5, 1.0]), "collapse", 1.0, similarity_of_targets=0.241081),
    _case("nearly_constant", _run([0.97]), measured=0.96047),
    made.case("at_epoch_1", PredictionDiversity(epoch=1), _run([0.99, 0.70]), epoch=1),
    _case("nan", _run([float("nan")]), measured=math.nan),
    _case("targets_all_alike", _run([0.5], direction=1.0), measured=math.nan),
)
