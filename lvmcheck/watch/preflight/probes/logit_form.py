"""logit_form: the loss gets what it expects: logits, log probabilities or probabilities, normalised over classes."""

from __future__ import annotations

from torch import Tensor

from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed, warning
from lvmcheck.watch.measure.loss_calls import came_from
from lvmcheck.watch.preflight.setup import Setup, SkipProbe
from lvmcheck.watch.preflight.trace import Operation

FIXES = {
    "softmax_twice": "pass logits: cross entropy applies log_softmax itself, and of probabilities it cannot fall below"
    " ln(e + K - 1) - 1",
    "wrong_axis": "apply softmax over the classes: dim=-1, or dim=1 for pictures",
    "sigmoid_twice": "pass logits: binary_cross_entropy_with_logits applies the sigmoid itself",
    "not_log_probabilities": "pass log_softmax of the logits to nll_loss, or use cross_entropy",
    "log_of_probabilities": "use log_softmax, or cross_entropy of logits: a probability that underflows gives inf",
}
CLOSE = 1e-3
PARTS = ("Slice", "Index")
"""Nodes that take a part of the rows or classes."""
_PHRASES = {
    "softmax_twice": "{function} gets probabilities (sums of classes differ from 1 by {measured})",
    "wrong_axis": "{function} gets values normalised over another axis (sums of rows differ from 1 by {measured})",
    "sigmoid_twice": "{function} gets the output of a sigmoid",
    "not_log_probabilities": "{function} gets no log probabilities (their sums differ from 1 by {measured})",
    "log_of_probabilities": "a log of the output of softmax",
    "expected": "{function} gets what it expects",
}


def measure(setup: Setup) -> Outcome:
    names = ("cross_entropy", "nll_loss", "binary_cross_entropy_with_logits", "binary_cross_entropy")
    seen = 0
    for operation in setup.training.of(*names):
        output = operation.argument(0, "input")
        if not isinstance(output, Tensor) or output.ndim < 1 or not output.numel():
            continue
        seen += 1
        found = wrong_form(operation, output)
        if found is not None:
            return failed(_finding(found[0], found[1], operation.name))
    for operation in setup.training.of("log"):
        if came_from(operation.args[0], "Softmax", PARTS):
            return warning(_finding("log_of_probabilities", 0.0, "log"))
    if not seen:
        raise SkipProbe("the loss is not a cross entropy")
    return passed(_finding("expected", 0.0, next(setup.training.of(*names)).name), evaluated=seen)


def wrong_form(operation: Operation, output: Tensor) -> tuple[str, float] | None:
    """The code of what is wrong, with a distance; None where nothing is."""
    values = output.detach().float()
    if operation.name.startswith("binary"):
        twice = operation.name.endswith("logits") and came_from(output, "Sigmoid", PARTS)
        return ("sigmoid_twice", 0.0) if twice else None
    axis = 1 if values.ndim > 1 else 0
    if operation.name == "nll_loss":
        across, down = _off(values.exp(), axis), _off(values.exp(), 0)
        if across <= CLOSE:
            return None
        other_axis = (values.ndim > 1 and down <= CLOSE) or came_from(output, "LogSoftmax", PARTS)
        return ("wrong_axis", down) if other_axis else ("not_log_probabilities", across)
    if bool((values < 0).any()):
        log = values.exp()
        wrong = values.ndim > 1 and len(values) > 1 and _off(log, 0) <= CLOSE < _off(log, axis)
        return ("wrong_axis", _off(log, 0)) if wrong else None
    across, down = _off(values, axis), _off(values, 0)
    if across <= CLOSE and values.shape[axis] > 1:
        return "softmax_twice", across
    if values.ndim > 1 and len(values) > 1 and down <= CLOSE:
        return "wrong_axis", down
    return None


def _off(values: Tensor, axis: int) -> float:
    """How far the sums over an axis are from 1 at most."""
    return float((values.sum(axis) - 1).abs().amax())


def _finding(code: str, measured: float, function: str) -> Finding:
    evidence = (Fact("function", function),)
    return Finding(code=code, measured=measured, evidence=evidence, phrase=_PHRASES[code])
