"""rows_independent: in eval mode the output of a row does not depend on the other rows of the batch."""

from __future__ import annotations

import torch

from lvmcheck.checks.finding import Fact, Finding, Outcome, ceiling, compared
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
    others = torch.arange(rows).roll(1)  # row 1 becomes row 0, and so on
    others[0] = 0
    changed = taken(setup.call.inputs, others, rows)
    plain, outputs = setup.outputs(), setup.outputs(changed)
    shared = [key for key, tensor in plain.items() if tensor.ndim and len(tensor) == rows]
    if not shared:
        raise SkipProbe("no output has the rows of the batch")
    return compared(
        Finding(
            code="other_rows_seen",
            measured=max(difference(plain[key][0], outputs[key][0]) for key in shared),
            bounds=(ceiling(setup.tolerance),),
            evidence=(Fact("rows", rows - 1, "rows"),),
            phrase="other content of the other {rows} changes the output of row 0 by {measured} of its magnitude",
        ),
        evaluated=rows,
    )
