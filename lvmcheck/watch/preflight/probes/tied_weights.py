"""tied_weights: weights that share storage still do after a step and a checkpoint, and none was untied by a copy."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding, Outcome, failed, passed
from lvmcheck.watch.measure.modules import own, tied
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, listed

FIXES = {
    "equal_but_not_tied": "assign the parameter itself: head.weight = embedding.weight, without .data or clone()",
    "not_tied": "call model.tie_weights() after the model was made or loaded",
    "untied": "tie again after loading, or overwrite values in place (copy_) and not parameters",
}
_PHRASES = {
    "equal_but_not_tied": "{measured} pairs of embedding and output layer have equal weights that are not shared",
    "not_tied": "{measured} weights that the configuration ties are not shared",
    "untied": "{measured} shared weights are not shared after a step and a checkpoint",
}


def measure(setup: Setup) -> Outcome:
    model = setup.model
    copies = untied_copies(model)
    declared = bool(getattr(getattr(model, "config", None), "tie_word_embeddings", False))
    of: Any = model
    if declared and callable(getattr(model, "get_output_embeddings", None)):
        head, embedding = of.get_output_embeddings(), of.get_input_embeddings()
        if head is not None and head.weight is not embedding.weight:
            return failed(_finding("not_tied", [f"{type(head).__name__}.weight"]))
    if copies:
        return failed(_finding("equal_but_not_tied", copies))
    groups = tied(model)
    if not groups:
        raise SkipProbe("no weights are tied")
    setup.train()
    setup.step(setup.small, setup.own_optimizer())
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    model.load_state_dict(torch.load(buffer, weights_only=True), strict=False)
    current = dict(model.named_parameters(remove_duplicate=False))
    broken = [name for name, names in groups.items() if any(current.get(n) is not current.get(name) for n in names)]
    if broken:
        return failed(_finding("untied", broken))
    return passed(_finding("untied", []), evaluated=len(groups))


def untied_copies(model: nn.Module) -> list[str]:
    """Output layers whose weight equals that of an embedding bit for bit, and is another parameter."""
    embeddings = [(name, own(m, "weight")) for name, m in model.named_modules() if isinstance(m, nn.Embedding)]
    layers = [(name, own(m, "weight")) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    return [
        f"{layer}.weight = {embedding}.weight"
        for layer, weight in layers
        for embedding, source in embeddings
        if weight is not None and source is not None
        if weight is not source and weight.requires_grad and source.requires_grad and equal_content(weight, source)
    ]


def equal_content(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other) and bool((one != one.flatten()[0]).any())


def _finding(code: str, names: list[str]) -> Finding:
    evidence = listed(names)
    return Finding(code=code, measured=len(names), bounds=(equal(0),), evidence=evidence, phrase=_PHRASES[code])
