"""outputs_in_range: outputs are finite, have a row for each row of the batch, and can reach their targets."""

from __future__ import annotations

from torch import Tensor

from lvmcheck.checks.bounds import ceiling, equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed
from lvmcheck.watch.preflight.nested import rows_of
from lvmcheck.watch.preflight.setup import Setup
from lvmcheck.watch.preflight.trace import Trace

FIXES = {
    "too_large": "normalise the inputs, and initialise the last layer smaller",
    "not_finite": "look for a division by 0, a log of 0 or an overflow in the first module with such an output",
    "rows_lost": "keep dimension 0 for the samples: a reshape, squeeze or mean has removed it",
    "target_out_of_range": "remove the last activation, or scale the targets into its range",
}
RANGES = {"SigmoidBackward0": (0.0, 1.0), "TanhBackward0": (-1.0, 1.0), "ReluBackward0": (0.0, float("inf"))}
RANGES |= {"SoftmaxBackward0": (0.0, 1.0)}
MAGNITUDE = 1e6
REGRESSION = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


def measure(setup: Setup) -> Outcome:
    output = setup.output
    bad = int((~output.isfinite()).sum())
    largest = float(output.abs().nan_to_num(0.0).amax())
    facts = (Fact("shape", str(list(output.shape))), Fact("lowest", float(output.min())), Fact("highest", largest))
    if bad or largest > MAGNITUDE:
        code = "not_finite" if bad else "too_large"
        bounds = (equal(0),) if bad else (ceiling(MAGNITUDE),)
        return failed(Finding(code=code, measured=bad or largest, bounds=bounds, evidence=facts))
    rows = rows_of(setup.call.inputs)
    if rows is not None and rows > 1 and len(output) % rows and output.ndim:
        finding = Finding(code="rows_lost", measured=len(output), bounds=(equal(rows),), evidence=facts)
        return failed(finding)
    outside = out_of_range(setup.training)
    if outside is not None:
        return failed(outside)
    return passed(
        Finding(
            code="finite",
            measured=bad,
            bounds=(equal(0),),
            evidence=facts,
            phrase="output {shape} with {measured} values that are NaN or inf",
        )
    )


def out_of_range(trace: Trace) -> Finding | None:
    """Targets of a regression that the last activation cannot give."""
    for operation in trace.of(*REGRESSION):
        output, target = operation.argument(0, "input"), operation.argument(1, "target")
        if not isinstance(output, Tensor) or not isinstance(target, Tensor) or output.grad_fn is None:
            continue
        low, high = RANGES.get(output.grad_fn.name(), (float("-inf"), float("inf")))
        outside = float(((target < low - 0.01) | (target > high + 0.01)).float().mean())
        if outside > 0.05:
            return Finding(
                code="target_out_of_range",
                measured=100 * outside,
                unit="%",
                bounds=(ceiling(5),),
                evidence=(Fact("low", low), Fact("high", high)),
                phrase="{measured} of the targets lie outside of [{low}, {high}], all that the output can be",
            )
    return None
