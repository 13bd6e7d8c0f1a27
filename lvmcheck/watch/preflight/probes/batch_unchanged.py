"""batch_unchanged: computing the loss changes no tensor of the batch in place."""

from __future__ import annotations

import torch

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding, Outcome, compared
from lvmcheck.watch.preflight.nested import cloned, leaves
from lvmcheck.watch.preflight.setup import Setup, listed

FIXES = {"changed": "work on a copy: x = x / 255 in place of x /= 255; the next epoch gets the changed tensor"}


def measure(setup: Setup) -> Outcome:
    given, own = cloned(setup.small), leaves(setup.small)
    setup.train()
    setup.objective(setup.model, given)
    after = leaves(given)
    changed = [path for path, tensor in own.items() if not torch.equal(tensor.nan_to_num(), after[path].nan_to_num())]
    return compared(
        Finding(
            code="changed",
            measured=len(changed),
            bounds=(equal(0),),
            evidence=listed(changed, "tensors"),
            phrase="{measured} tensors of the batch are changed in place",
        ),
        evaluated=len(own),
    )
