"""causal: where positions are ordered, no output depends on a later input."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, compared
from lvmcheck.watch.preflight.language import tokens
from lvmcheck.watch.preflight.probes.inputs_matter import other
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, difference, time_first

FIXES = {"future_seen": "mask later positions in attention (is_causal=True), pad convolutions on the left only"}


def measure(setup: Setup) -> Outcome:
    path, tensor = positions(setup)
    setup.model.eval()
    length = tensor.shape[1]
    plain = setup.outputs()
    shared = [key for key, found in plain.items() if found.ndim > 2 and found.shape[:2] == tensor.shape[:2]]
    if not shared:
        raise SkipProbe("no output has the positions of the input")
    worst, where = 0.0, 1
    for cut in sorted({1, length // 2, length - 1} - {0}):
        changed = tensor.clone()
        changed[:, cut:] = other(tensor)[:, cut:]
        outputs = setup.outputs({path: changed})
        change = max(difference(plain[key][:, :cut], outputs[key][:, :cut]) for key in shared)
        worst, where = (change, cut) if change > worst else (worst, where)
    return compared(
        Finding(
            code="future_seen",
            measured=worst,
            bounds=(ceiling(setup.tolerance),),
            evidence=(Fact("position", where), Fact("input", path)),
            phrase="changing {input} from position {position} on changes earlier outputs by {measured} (relative)",
        ),
        evaluated=len(shared),
    )


def positions(setup: Setup) -> tuple[str, Tensor]:
    """The input whose positions are ordered."""
    if setup.causal is False:
        raise SkipProbe("declared as not causal")
    found = tokens(setup)
    if found is not None and (setup.causal or found.shift in (1, 2)):
        return found.path, found.tokens
    if not setup.causal:
        raise SkipProbe("the targets are not the next tokens of the input; declare causal=True where order counts")
    if time_first(setup.model):
        raise SkipProbe("the model holds layers with batch_first=False: dimension 0 may be time")
    output = setup.output
    for path, tensor in setup.call.inputs.items():
        if tensor.ndim >= 2 and output.ndim > 2 and tensor.shape[:2] == output.shape[:2] and tensor.dtype != torch.bool:
            return path, tensor
    raise SkipProbe("no input has the positions of the output")
