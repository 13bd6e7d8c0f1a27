"""reload_agrees: a checkpoint that is loaded afresh gives the recorded metrics."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, Outcome, facts, not_recorded
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_most, each_evaluation
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.errors import BadValueError
from lvmcheck.run.events import Evaluation
from lvmcheck.run.view import Run

PREFIX = "recorded_"


@dataclass(frozen=True, kw_only=True)
class ReloadAgrees(Check):
    """Every evaluation "reload" repeats the metrics that were recorded with the checkpoint, to `tolerance` absolute.

    The trainer loads its published checkpoint through the public path into a new model, evaluates it, and reports
    val_cosine beside recorded_val_cosine, val_loss beside recorded_val_loss, and so on.

    Why:
    What is evaluated must be what was trained. Two classes of the original project shared every tensor name and shape,
    so a strict load succeeded and the model scored -0.007 where training had recorded 0.5329; four weeks of diagnoses
    followed. Evaluating again after loading shows it in seconds.

    Usual causes:
    - Wrong class: same names and shapes, another forward pass.
    - Wrong weights: the checkpoint aliases live tensors and was overwritten; an EMA was validated but not saved.
    - State outside the checkpoint: buffers not saved, normalisation statistics, a memory that evaluation changes.
    - Evaluation differs: train mode left on, other rows, another order with unweighted batch averages.

    Fix:
    Save class, arguments and a digest with the weights, and build the model from them when loading. Evaluate twice in
    a row: if the two results differ, evaluation itself changes state.

    Healthy runs that must pass:
    Differences of float rounding (1e-8) between two passes in another batch order.

    Source:
    history 6 (two AMN classes; a note of its authors: "re-compute metrics after loading").
    """

    metric_fields = ()

    tolerance: float = 1e-6
    evaluation: str = "reload"

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)
        if not self.evaluation:
            raise BadValueError("evaluation", "expected a name, got an empty string")

    def detail(self) -> str:
        return "" if self.evaluation == "reload" else self.evaluation

    def judge(self, run: Run) -> Outcome:
        return each_evaluation(run, self.evaluation, self._compare, "no checkpoint was loaded after training")

    def _compare(self, event: Evaluation) -> list[Finding] | Outcome:
        """One finding for each pair of metrics, or why there is none."""
        pairs = {name.removeprefix(PREFIX): value for name, value in event.metrics.items() if name.startswith(PREFIX)}
        if not pairs:
            return not_recorded(f"evaluation {self.evaluation!r} records no {PREFIX}* metric to compare with")
        lacking = next((name for name in pairs if name not in event.metrics), None)
        if lacking is not None:
            return not_recorded(f"evaluation {self.evaluation!r} records {PREFIX}{lacking} and no {lacking!r}")
        return [self._finding(event, name, event.metrics[name], recorded) for name, recorded in pairs.items()]

    def _finding(self, event: Evaluation, name: str, value: float, recorded: float) -> Finding:
        about = (Fact("evaluated", event.about),) if event.about else ()
        return at_most(
            "differs_after_loading",
            abs(value - recorded),
            self.tolerance,
            metric=name,
            evidence=(*facts(after_loading=value, recorded=recorded), *about),
            phrase="{metric} after loading differs from the recorded value by {measured}",
        )


def _reloaded(*metrics: dict[str, float]) -> Run:
    run = made.val_run(made.AMN_584K_VAL)
    return run.extended(Evaluation(name="reload", metrics=each) for each in metrics)


_case = made.Cases(ReloadAgrees())

PASSES = (
    _case("perfect_oracle", _reloaded({"val_cosine": 1.0, "recorded_val_cosine": 1.0})),
    _case(
        "rounding",
        _reloaded(
            {
                "val_cosine": 0.56050204,
                "recorded_val_cosine": 0.56050203,
                "val_loss": 0.00114453,
                "recorded_val_loss": 0.00114453,
            }
        ),
    ),
)
FAILS = (
    _case(
        "wrong_class",
        _reloaded({"val_cosine": -0.0073, "recorded_val_cosine": 0.5329}),
        "differs_after_loading",
        0.5402,
        after_loading=-0.0073,
    ),
    _case(
        "best_agrees_and_last_does_not",
        _reloaded(
            {"val_cosine": 0.5605, "recorded_val_cosine": 0.5605}, {"val_cosine": 0.31, "recorded_val_cosine": 0.5604}
        ),
        after_loading=0.31,
    ),
    _case("older_weights", _reloaded({"val_cosine": 0.5602, "recorded_val_cosine": 0.5605})),
    _case("nan", _reloaded({"val_cosine": float("nan"), "recorded_val_cosine": 0.5605}), measured=float("nan")),
    _case("nan_recorded", _reloaded({"val_cosine": 0.5, "recorded_val_cosine": float("nan")})),
)
