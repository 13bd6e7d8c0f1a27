"""output_varies: samples with different inputs get different outputs."""

from __future__ import annotations

import torch

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Finding, Outcome, compared
from lvmcheck.watch.measure.outputs import spread
from lvmcheck.watch.preflight.setup import Setup, SkipProbe

FIXES = {
    "spread": "look for weights that are all zero, for a reduction over the batch, and for an input that is not used"
}
SMALLEST = 1e-6


def measure(setup: Setup) -> Outcome:
    rows = setup.call_rows
    if rows < 2:
        raise SkipProbe("the batch has one row")
    if all(torch.equal(tensor[:1].expand_as(tensor), tensor) for tensor in with_rows(setup, rows)):
        raise SkipProbe("all rows of the batch are equal")
    found = float(spread(setup.output))
    if not found >= SMALLEST:  # a last layer that begins at zero leaves it with the first step
        setup.wake()
        outputs = (output for output in setup.outputs().values() if output.ndim and len(output) == rows)
        found = max(map(float, map(spread, outputs)), default=found)
    return compared(
        Finding(
            code="spread",
            measured=found,
            bounds=(floor(SMALLEST),),
            phrase="outputs of different rows differ by {measured} (relative)",
        ),
        evaluated=rows,
    )


def with_rows(setup: Setup, rows: int) -> list[torch.Tensor]:
    return [tensor for tensor in setup.call.inputs.values() if tensor.ndim and len(tensor) == rows]
