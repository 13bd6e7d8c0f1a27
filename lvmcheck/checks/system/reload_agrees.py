"""reload_agrees: a checkpoint that is loaded afresh gives the recorded metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.finding import Finding, Outcome, error, failed, passed
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete
from lvmcheck.run.events import Evaluation
from lvmcheck.run.view import Run

PREFIX = "recorded_"
WRONG = 0.05
"""A cosine that moves this much was not computed by the same function."""


@dataclass(frozen=True, kw_only=True)
class ReloadAgrees(Check):
    """Every evaluation "reload" repeats the metrics that were recorded with the checkpoint, to `tolerance` absolute.

    The trainer loads its published checkpoint through the public path into a new model, evaluates it, and reports
    val_cosine beside recorded_val_cosine, val_loss beside recorded_val_loss, and so on.

    Why:
    What is evaluated must be what was trained. Two classes of the ancestors shared every tensor name and shape, so a
    strict load succeeded and the model scored -0.007 where training had recorded 0.5329; four weeks of diagnoses
    followed. Re-evaluating after loading shows it in seconds.

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
    The ancestors' code (two AMN classes); wish of theirs: "re-compute metrics after loading".
    """

    metric_fields = ()

    tolerance: float = 1e-6
    evaluation: str = "reload"

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)
        if not self.evaluation:
            raise ValueError("evaluation: expected a name, got an empty string")

    def detail(self) -> str:
        return "" if self.evaluation == "reload" else self.evaluation

    def judge(self, run: Run) -> Outcome:
        said = [event for event in run.of(Evaluation) if event.name == self.evaluation]
        findings: list[Finding] = []
        for event in said:
            found = self._compare(event)
            if isinstance(found, Outcome):
                return found
            findings += found
            misses = [finding for finding in found if not (finding.margin or 0.0) >= 0.0]
            if misses:
                others = tuple(finding.evidence[0] for finding in misses[1:])
                return failed(replace(misses[0], evidence=misses[0].evidence + others), evaluated=len(findings))
        if not run.finished or not complete(run):  # best and last checkpoint are reloaded one after the other
            return awaiting(run, f"every evaluation {self.evaluation!r}", evaluated=len(findings))
        if not said:
            return error(f"no evaluation {self.evaluation!r} is recorded: the checkpoint was never loaded afresh")
        return passed(max(findings, key=_apart), evaluated=len(findings))

    def _compare(self, event: Evaluation) -> list[Finding] | Outcome:
        """One finding for each pair of metrics, or why there is none."""
        pairs = {name.removeprefix(PREFIX): value for name, value in event.metrics.items() if name.startswith(PREFIX)}
        if not pairs:
            return error(f"evaluation {self.evaluation!r} records no {PREFIX}* metric to compare with")
        lacking = [name for name in pairs if name not in event.metrics]
        if lacking:
            return error(f"evaluation {self.evaluation!r} does not record {lacking[0]!r} beside {PREFIX}{lacking[0]}")
        return [self._finding(event, name, event.metrics[name], recorded) for name, recorded in pairs.items()]

    def _finding(self, event: Evaluation, name: str, value: float, recorded: float) -> Finding:
        apart = abs(value - recorded)
        about = f" ({event.about})" if event.about else ""
        sentences = [f"{name} {value:.8g} after loading, {recorded:.8g} recorded with the checkpoint{about}"]
        if not apart <= WRONG and "cosine" in name:
            sentences.append("far beyond rounding: the wrong class or the wrong weights were loaded")
        return Finding(
            what=f"difference of {name} after loading the checkpoint afresh",
            measured=apart,
            wanted=f"at most {self.tolerance:g}",
            margin=self.tolerance - apart,
            evidence=tuple(sentences),
        )


def _apart(finding: Finding) -> float:
    return finding.measured if isinstance(finding.measured, float) else float("nan")


def _reloaded(*metrics: dict[str, float]) -> Run:
    run = made.val_run(made.AMN_584K_VAL)
    return run.extended(Evaluation(name="reload", metrics=each) for each in metrics)


_CHECK = ReloadAgrees()

PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, _reloaded({"val_cosine": 1.0, "recorded_val_cosine": 1.0})),
    made.case(
        "rounding",
        _CHECK,
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
FAILS: Sequence[Case] = (
    made.case(
        "wrong_class",
        _CHECK,
        _reloaded({"val_cosine": -0.0073, "recorded_val_cosine": 0.5329}),
        ("wrong class or the wrong weights", "-0.0073"),
    ),
    made.case(
        "best_agrees_and_last_does_not",
        _CHECK,
        _reloaded(
            {"val_cosine": 0.5605, "recorded_val_cosine": 0.5605}, {"val_cosine": 0.31, "recorded_val_cosine": 0.5604}
        ),
        ("0.31 after loading",),
    ),
    made.case("older_weights", _CHECK, _reloaded({"val_cosine": 0.5602, "recorded_val_cosine": 0.5605})),
    made.case("nan", _CHECK, _reloaded({"val_cosine": float("nan"), "recorded_val_cosine": 0.5605}), ("NaN",)),
    made.case("nan_recorded", _CHECK, _reloaded({"val_cosine": 0.5, "recorded_val_cosine": float("nan")})),
)
