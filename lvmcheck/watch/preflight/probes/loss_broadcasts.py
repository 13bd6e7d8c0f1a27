"""loss_broadcasts: output and target of the loss have one shape, so that no [N, 1] is spread against an [N]."""

from __future__ import annotations

from torch import Tensor

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed
from lvmcheck.watch.measure.loss_calls import spread_out
from lvmcheck.watch.preflight.setup import Setup, SkipProbe
from lvmcheck.watch.preflight.trace import ARITHMETIC, LOSSES

FIXES = {"broadcast": "give output and target the same shape, such as output.squeeze(-1)"}
_OTHER_SHAPE = frozenset({"cross_entropy", "nll_loss", "gaussian_nll_loss", "kl_div"})
"""Losses whose target has another shape, or may have."""


def measure(setup: Setup) -> Outcome:
    trace = setup.training
    seen = 0
    for operation in trace.of(*(LOSSES | ARITHMETIC)):
        if operation.name in _OTHER_SHAPE or len(operation.args) + len(operation.kwargs) < 2:
            continue
        one, other = operation.argument(0, "input"), operation.argument(1, "target")
        if not isinstance(one, Tensor) or not isinstance(other, Tensor):
            continue
        seen += 1
        if spread_out(one, other) and one.requires_grad != other.requires_grad:
            shapes = (Fact("output", str(list(one.shape))), Fact("target", str(list(other.shape))))
            return failed(
                Finding(
                    code="broadcast",
                    measured=operation.name,
                    evidence=shapes,
                    phrase="{measured} of {output} and {target} compares every row with every other row",
                )
            )
    if not seen:
        raise SkipProbe("the loss compares no two tensors elementwise")
    return passed(
        Finding(code="same_shape", measured=0, bounds=(equal(0),), phrase="{measured} broadcasts in the loss"),
        evaluated=seen,
    )
