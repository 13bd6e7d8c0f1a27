"""Addends of a loss that depend on parameters alone, such as a sum of their squares, and where they pull."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.watch.alive import own
from lvmcheck.watch.measure.ledger import Term

NODES = 2000
"""Nodes of a penalty's graph: that of a model is larger."""


def pull(terms: Sequence[Term], outputs: Iterable[Tensor], model: nn.Module) -> tuple[Tensor, Tensor] | None:
    """The largest parameter that the heaviest penalty depends on, and the penalty's gradient there; None without one.

    Args:
        terms: addends that have a gradient; at least one of them must depend on the outputs.
        outputs: those of the model in this step.
        model: what depends on parameters of another one is none of its penalties. Of tables of embeddings, of which a
            step asks for few rows, nothing is said.
    """
    parameters_of, tables = own(model), {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    ends = {tensor.grad_fn for tensor in outputs}
    graphs = [(term, _graph(term, ends)) for term in terms]
    # A hook of a parameter, ours or the loop's, would be called once more.
    graphs = [(term, [p for p in found if id(p) not in tables and not p._backward_hooks]) for term, found in graphs]
    alone = [(term, found) for term, found in graphs if found and all(id(p) in parameters_of for p in found)]
    if not alone or len(alone) == len(graphs):
        return None
    term, parameters = max(alone, key=lambda pair: max(p.numel() for p in pair[1]))
    largest = max(parameters, key=lambda p: p.numel())
    ones = largest.new_ones(())
    (gradient,) = torch.autograd.grad([term.edge], [largest], [ones], retain_graph=True, allow_unused=True)
    return None if gradient is None else (largest, gradient.detach() * term.weight)


def _graph(term: Term, ends: set[Any]) -> list[Tensor]:
    """The parameters of a graph that leads to no output and is small; none of any other."""
    waiting: list[Any] = [term.edge.node if term.edge is not None else None]
    seen: set[Any] = set()
    found: list[Tensor] = []
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in ends or len(seen) > NODES:
            return []
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            found.append(variable)
        waiting += [following for following, _ in node.next_functions]
    return found
