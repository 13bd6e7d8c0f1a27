"""rows_independent: in eval mode the output of a row does not depend on the other rows of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, compared
from lvmcheck.watch.preflight.nested import taken
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, difference

FIXES = {
    "other_rows_seen": "look for a reshape, softmax, mean or normalisation over dimension 0, attention with"
    " batch_first wrong, or statistics of the batch in eval mode"
}


def measure(setup: Setup) -> Outcome:
    rows = setup.call_rows
    if rows < 2:
        raise SkipProbe("the batch has one row")
    setup.model.eval()
    plain = setup.outputs()
    shared = [key for key, tensor in plain.items() if tensor.ndim and len(tensor) == rows]
    if not shared:
        raise SkipProbe("no output has the rows of the batch")
    changes = {
        kept: change(setup, plain, shared, kept) for kept in (0, rows - 1)
    }  # time runs from one end to the other
    worst = max(changes, key=changes.__getitem__)
    return compared(
        Finding(
            code="other_rows_seen",
            measured=changes[worst],
            bounds=(ceiling(setup.tolerance),),
            evidence=(Fact("rows", rows - 1, "rows"), Fact("row", worst)),
            phrase="changing the other {rows} changes the output of row {row} by {measured} (relative)",
        ),
        evaluated=len(changes),
    )


def change(setup: Setup, plain: dict[str, Tensor], shared: list[str], kept: int) -> float:
    """How much the output of one row changes when all others get the content of their neighbours."""
    rows = setup.call_rows
    others = torch.arange(rows).roll(1)
    others[kept] = kept
    outputs = setup.outputs(taken(setup.call.inputs, others, rows))
    return max(difference(plain[key][kept], outputs[key][kept]) for key in shared)
