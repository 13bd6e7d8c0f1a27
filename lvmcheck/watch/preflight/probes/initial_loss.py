"""initial_loss: the first cross entropy is not far above that of a uniform guess, ln K."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, compared, warning
from lvmcheck.watch.measure.batches import main_output
from lvmcheck.watch.preflight.setup import Setup, SkipProbe
from lvmcheck.watch.preflight.trace import Operation

FIXES = {
    "above_uniform": "initialise the last layer smaller, so that no class is favoured before training; check that"
    " inputs are normalised"
}
DISTANCE, FAR = 0.5, 3.0


def measure(setup: Setup) -> Outcome:
    for operation in setup.training.of("cross_entropy", "nll_loss", "binary_cross_entropy_with_logits"):
        found = expected(operation, setup.classes) if of_the_model(operation, setup) else None
        if found is not None:
            loss, uniform, classes = found
            finding = Finding(
                code="above_uniform",
                measured=loss,
                unit="nats",
                bounds=(ceiling(uniform * (1 + DISTANCE), f"1.5 ln {classes}"),),
                evidence=(Fact("uniform", uniform, "nats"), Fact("classes", classes)),
                phrase="first cross entropy {measured}, of a uniform guess {uniform}",
            )
            outcome = compared(finding)
            # Weights that were trained for something else begin there, too.
            return warning(finding) if outcome.status is Status.FAILED and loss <= FAR * uniform else outcome
    raise SkipProbe("the loss is no cross entropy of the classes that the model puts out")


def of_the_model(operation: Operation, setup: Setup) -> bool:
    """Whether the logits are the model's output, and not made of it by the loss (similarities times a scale)."""
    outputs = [main_output(call.output) for call in setup.training.calls]
    widths = {output.shape[1 if output.ndim > 3 else -1] for output in outputs if output is not None}
    logits = operation.argument(0, "input")
    return operation.inside or bool(widths & {logits.shape[-1], logits.shape[min(1, logits.ndim - 1)]})


def expected(operation: Operation, declared: int | None) -> tuple[float, float, int] | None:
    """Mean loss of the operation without weights, loss of a uniform guess, and number of classes."""
    output, target = operation.argument(0, "input").detach().float(), operation.argument(1, "target")
    if not output.numel() or not isinstance(target, Tensor):
        return None
    if operation.name == "binary_cross_entropy_with_logits":
        return float(functional.binary_cross_entropy_with_logits(output, target.float())), math.log(2), 2
    if target.is_floating_point():
        return None
    classes = declared or output.shape[1 if output.ndim > 1 else 0]
    ignored = operation.argument(4, "ignore_index", -100)
    if classes < 2 or bool((target == ignored).all()):
        return None
    function = functional.cross_entropy if operation.name == "cross_entropy" else functional.nll_loss
    with torch.no_grad():
        return float(function(output, target, ignore_index=ignored)), math.log(classes), classes
