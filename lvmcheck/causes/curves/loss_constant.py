"""loss_constant: the training loss is one and the same number."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import coded, found, gradient_facts
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.role_names import Quantity


class LossConstant(Cause):
    """The logged training loss never changes: it is not the loss of the step."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "metric_constant", "constant", "constant_from_there")
        if finding is None or finding.metric not in TRAIN or evidence.failed("learning_rate_zero"):
            return None
        if any(window.terms for window in evidence.run.windows) or list(evidence.run.curves.of(Quantity.TERM)):
            return None  # a sum of terms may rest on the bound of one of them
        if coded(evidence, "epoch_pattern", "begins_anew") is not None:
            return None
        return found(
            self,
            Standing.LIKELY,
            "the training loss is {value} in all of {evaluations} values: it is not the loss of the step",
            (Fact("value", finding.measured), *finding_facts(finding), *gradient_facts(evidence.run)),
            fix="log the loss of this step, after it was computed",
            explain="metric_constant",
            explains=("nothing_learned",),
            also=("weights_never_move", "loss_not_computed"),
            tell_apart="print(loss.item(), loss.grad_fn) in two steps",
        )


TRAIN = ("train_loss", "loss", "train/loss")


_VAL = made.lines(20, 2.3, 0.5)
PASSES = (
    case("falls", made.window_run(made.lines(20, 2.3, 0.4))),
    case("validation_alone", {"train_loss": _VAL, "val_loss": [2.5] * 20}),
)
FAILS = (
    case("first_step_logged_for_ever", {"train_loss": [0.6931] * 20, "val_loss": _VAL}),
    case("windows", made.window_run([0.6931] * 40), Standing.LIKELY),
)
