"""padding_ignored: the content of padded positions changes no output elsewhere."""

from __future__ import annotations

from torch import Tensor

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Finding, Outcome, compared
from lvmcheck.watch.preflight.masks import masks, padding, sequences
from lvmcheck.watch.preflight.probes.inputs_matter import other
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, difference, listed

FIXES = {"padding_seen": "mask padded positions in attention and pooling (divide by the number of real positions)"}


def measure(setup: Setup) -> Outcome:
    inputs = setup.call.inputs
    setup.model.eval()
    changes = {path: found for path, mask in masks(inputs).items() if (found := _change(setup, path, mask)) is not None}
    if not changes:
        raise SkipProbe("no mask that hides positions goes into the model")
    worst = max(changes, key=changes.__getitem__)
    return compared(
        Finding(
            code="padding_seen",
            measured=changes[worst],
            bounds=(ceiling(setup.tolerance),),
            evidence=listed([worst], "masks"),
            phrase="changing padded positions changes the output elsewhere by {measured} (relative)",
        ),
        evaluated=len(changes),
    )


def _change(setup: Setup, path: str, mask: Tensor) -> float | None:
    """The least change under the readings of the mask; None where it hides nothing."""
    changes = []
    for hidden in padding(path, mask):
        along = sequences(mask, setup.call.inputs)
        if not hidden.any() or hidden.all() or not along:
            continue
        changed = {name: _filled(tensor, hidden) for name, tensor in along.items()}
        plain, outputs = setup.outputs(), setup.outputs(changed)
        changes.append(max((_elsewhere(plain[key], outputs[key], hidden) for key in plain if key != "loss"), default=0))
    return min(changes, default=None)


def _filled(tensor: Tensor, hidden: Tensor) -> Tensor:
    where = hidden.reshape(*hidden.shape, *[1] * (tensor.ndim - 2)).to(tensor.device)
    return other(tensor).where(where, tensor)


def _elsewhere(one: Tensor, two: Tensor, hidden: Tensor) -> float:
    """The difference at positions that are not padded, or of all where the output has no positions."""
    if one.shape[:2] == hidden.shape:
        return difference(one[~hidden], two[~hidden])
    whole = hidden.all(1)
    if one.ndim and len(one) == len(hidden):
        return difference(one[~whole], two[~whole])
    return 0.0
