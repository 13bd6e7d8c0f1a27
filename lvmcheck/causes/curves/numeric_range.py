"""numeric_range: a number left the range of its format or of a function."""

from __future__ import annotations

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import failed_first, found, leap, loss_diverged, train_facts
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run


class NumericRange(Cause):
    """A NaN or infinity appears without a loss that climbed before: log of 0, 0 / 0, or overflow."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("finite")
        if finding is None and _astronomic(evidence.run):
            return self._overflow(evidence)
        if finding is None or leap(evidence.run) is not None:
            return None
        if evidence.failed("gradient_norm_grows") is not None or loss_diverged(evidence):
            return None
        return found(
            self,
            Standing.LIKELY,
            "{metric} is not finite, and no loss climbed before: a number left its range",
            (Fact("metric", finding.metric), *finding_facts(finding), Fact("last_finite_step", _last(evidence.run))),
            fix="use log_softmax or logsumexp, add an epsilon inside log, sqrt and divisions, and check the data for "
            "NaN; in "
            "float16 scale the loss or use bfloat16",
            explain="finite",
            explains=("loss_exactly_zero", "nothing_learned", "loss_diverging"),
            also=("learning_rate_too_high", *(("loss_not_computed",) if evidence.failed("loss_exactly_zero") else ())),
            tell_apart="torch.autograd.set_detect_anomaly(True) from a checkpoint before that step",
        )

    def _overflow(self, evidence: Evidence) -> Diagnosis | None:
        finding = failed_first(evidence, "nothing_learned", "metric_constant", "loss_diverging")
        if finding is None:
            return None
        return found(
            self,
            Standing.LIKELY,
            "the loss is astronomic from beginning to end: inputs or targets are out of its range",
            (*train_facts(evidence.run), *finding_facts(finding)),
            fix="scale inputs and targets to what the criterion expects, such as [0, 1] for a Bernoulli likelihood",
            explain="nothing_learned",
            explains=("metric_constant", "loss_diverging", "loss_balance"),
            also=("wrong_scale", "diverging"),
            tell_apart="print(inputs.min(), inputs.max(), targets.min(), targets.max()) of the first batch",
        )


HUGE = 1e12
"""Loss from the beginning to the end that only a number out of its range gives."""


def _astronomic(run: Run) -> bool:
    train = run.curves.epoch_losses
    return train is not None and len(train) >= 4 and float(np.abs(train.values).min()) > HUGE


def _last(run: Run) -> int:
    losses = run.curves.window_losses
    return int(losses.steps[-1]) if losses is not None and len(losses) else 0


_NAN = float("nan")
PASSES = (
    case("finite", made.window_run(made.lines(20, 2.3, 0.4))),
    case("climbs_before", made.window_run([*made.lines(20, 1.0, 50.0), _NAN, _NAN])),
)
FAILS = (
    case("log_of_zero", made.window_run([*made.lines(20, 0.7, 0.2), _NAN, _NAN]), Standing.LIKELY),
    case(
        "answers_of_nan",
        {"train_loss": [*made.lines(8, 1.7, 0.2), _NAN, _NAN], "val_acc": [*made.lines(8, 0.7, 0.9), 0.1, 0.1]},
    ),
    case("by_epoch", {"train_loss": [*made.lines(8, 0.7, 0.2), _NAN, _NAN]}),
)
