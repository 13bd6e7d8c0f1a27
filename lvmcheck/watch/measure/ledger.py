"""What a loss is the sum of: scalars that are added up between a forward pass and its backward pass.

A :class:`torch.overrides.TorchFunctionMode`, the official way to see calls of torch: it passes every call on as it is,
and is open only from the forward pass to the backward pass of few measured steps.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import _get_current_function_mode_stack, _pop_mode

from lvmcheck.watch.measure.leaving import Leaving, left

PLUS = frozenset({"add", "__add__", "__radd__", "add_", "__iadd__"})
MINUS = frozenset({"sub", "__sub__", "sub_", "__isub__"})
FROM = frozenset({"rsub", "__rsub__"})
TIMES = frozenset({"mul", "__mul__", "__rmul__", "multiply", "mul_", "__imul__"})
OVER = frozenset({"div", "__truediv__", "true_divide", "div_", "__itruediv__"})
NEGATED = frozenset({"neg", "__neg__"})
SUMS = frozenset({"sum", "mean"})
SEEN = PLUS | MINUS | FROM | TIMES | OVER | NEGATED | SUMS | {"stack", "detach"}
IN_PLACE = frozenset({"add_", "__iadd__", "sub_", "__isub__", "mul_", "__imul__", "div_", "__itruediv__"})
HOOKS = frozenset({"register_hook", "retain_grad"})
NODES = 5_000
"""Nodes of a graph that are walked in search of functions of somebody's own."""
DEEP = 200
"""Additions that are followed down from a loss."""


@dataclass(frozen=True)
class Term:
    """One addend of a loss.

    Attributes:
        value: weight times value is what it adds.
        tensor: itself; None of a number, or of a tensor that was changed in place.
        edge: where its gradient can be asked for; None where it has none.
        trains: it has a gradient.
    """

    value: Tensor | float
    weight: float
    trains: bool
    tensor: Tensor | None = None
    edge: Any = None

    @property
    def kind(self) -> str:
        """What computed it, such as MseLoss."""
        if self.edge is None:
            return "number" if isinstance(self.value, float) else "tensor"
        return type(self.edge.node).__name__.partition("Backward")[0]


@dataclass(frozen=True)
class _Made:
    result: Tensor
    how: str
    of: tuple[Any, ...]


class Ledger(Leaving):
    """Notes how scalars are made of others, and calls ``loss`` with the root of a backward pass just before it runs."""

    def __init__(self, loss: Callable[[Tensor], None]) -> None:
        super().__init__()
        self._loss = loss
        self._made: dict[int, _Made] = {}
        self._depth = -1
        self.hooked = torch._C._autograd._top_saved_tensors_default_hooks(True) is not None

    def open(self) -> None:
        """Look from now on; on a second call nothing happens."""
        if self._depth < 0:
            self._depth = len(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]
            self.__enter__()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Look no longer; other modes stay as they are, in whatever order they were opened and closed."""
        depth, self._depth = self._depth, -1
        self._made = {}
        if depth < 0 or left(self) or self.calling:
            return
        # A mode that was opened before this one has closed, and taken this one in its place.
        if len(_get_current_function_mode_stack()) > depth - 1:  # type: ignore[no-untyped-call]
            _pop_mode()  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if self._depth < 0 or torch.compiler.is_compiling():
            return func(*args, **(kwargs or {}))
        if name == "backward" and args and isinstance(args[0], Tensor):
            self._loss(args[0])
            return self.call(func, args, kwargs)
        self.hooked = self.hooked or name in HOOKS
        kept = self._before(args[0]) if name in IN_PLACE and args else None
        result = func(*args, **(kwargs or {}))
        if name in SEEN and isinstance(result, Tensor) and result.ndim < 2 and not (set(kwargs or ()) - {"dim"}):
            operands = (kept, *args[1:]) if kept is not None else args
            stacked = self._made.get(id(operands[0])) if name in SUMS and operands else None
            if name == "stack" or (result.ndim == 0 and (name not in SUMS or stacked is not None)):
                self._made[id(result)] = _Made(result, name, tuple(operands))  # never what a loss is the mean of
        return result

    def _before(self, changed: Any) -> Any:
        """A scalar that is about to be changed in place, as it is: what it was made of, or its value."""
        if not isinstance(changed, Tensor) or changed.ndim:
            return None
        known = self._made.get(id(changed))
        return known or Term(changed.detach().clone(), 1.0, changed.requires_grad, edge=_edge(changed))

    # -- the sum -------------------------------------------------------------------------------------------------------
    def terms(self, loss: Tensor) -> list[Term]:
        """The addends of a loss, its own tensor where it is no sum; what a GradScaler has scaled, before it did."""
        return list(self._terms(self.unscaled(loss), 1.0, DEEP))

    def unscaled(self, loss: Tensor) -> Tensor:
        """The loss that was multiplied by a tensor without gradient, as a GradScaler does; else the loss itself."""
        made = self._made.get(id(loss))
        if made is None or made.how not in TIMES or len(made.of) != 2:
            return loss
        one, other = made.of
        if isinstance(one, Tensor) and isinstance(other, Tensor) and one.requires_grad and not other.requires_grad:
            return one
        return loss

    def _terms(self, item: Any, weight: float, depth: int) -> Iterator[Term]:
        made = item if isinstance(item, _Made) else self._made.get(id(item)) if isinstance(item, Tensor) else None
        parts = self._parts(made) if made is not None and depth else None
        if parts is not None:
            for part, factor in parts:
                yield from self._terms(part, weight * factor, depth - 1)
        elif isinstance(item, Term):
            yield replace(item, weight=weight * item.weight)
        elif isinstance(item, _Made | Tensor):
            tensor = item.result if isinstance(item, _Made) else item
            yield Term(tensor.detach(), weight, tensor.requires_grad, tensor, _edge(tensor))
        elif isinstance(item, int | float) and item:
            yield Term(float(item), weight, False)

    def _parts(self, made: _Made) -> list[tuple[Any, float]] | None:
        """Operands with their factors; None where it is no sum, or none of its parts can be told."""
        how, of = made.how, made.of
        if how in NEGATED:
            return [(of[0], -1.0)]
        if how in SUMS:
            stacked = self._made.get(id(of[0]))
            if stacked is None or stacked.how != "stack" or len(of) > 1:
                return None
            items = list(stacked.of[0])
            return [(item, 1.0 if how == "sum" else 1.0 / max(1, len(items))) for item in items]
        if len(of) != 2 or not all(_scalar(item) for item in of):
            return None
        if how in PLUS:
            return [(of[0], 1.0), (of[1], 1.0)]
        if how in MINUS:
            return [(of[0], 1.0), (of[1], -1.0)]
        if how in FROM:
            return [(of[1], 1.0), (of[0], -1.0)]
        if how in TIMES | OVER:
            return _scaled(how, of)
        return None

    def swapped(self, term: Term, among: Sequence[Term]) -> bool:
        """Whether it replaces the value of another term and leaves its gradient, as in x + (y - x).detach()."""
        made = self._made.get(id(term.tensor)) if term.tensor is not None else None
        source = self._made.get(id(made.of[0])) if made is not None and made.how == "detach" else None
        if source is None or source.how not in MINUS | FROM:
            return False
        operands = {id(item) for item in source.of}
        return any(id(other.tensor) in operands for other in among if other is not term)


def plain(nodes: Sequence[Any], ends: set[Any]) -> bool:
    """Whether a graph is made of torch's own functions alone, down to these ends."""
    seen = set(ends)
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return False
        seen.add(node)
        if len(seen) > NODES:
            return False
        waiting += [following for following, _ in node.next_functions]
    return True


def _edge(tensor: Tensor) -> Any:
    return torch.autograd.graph.get_gradient_edge(tensor) if tensor.requires_grad else None


def _scaled(how: str, of: tuple[Any, ...]) -> list[tuple[Any, float]] | None:
    """A scalar times or over a number."""
    number = next((item for item in of if isinstance(item, int | float)), None)
    if number is None or (how in OVER and number is not of[1]) or not math.isfinite(number):
        return None
    factor = float(number) if how in TIMES else 1.0 / number if number else math.nan
    return [(of[0] if number is of[1] else of[1], factor)]


def _scalar(item: Any) -> bool:
    return isinstance(item, int | float | Term | _Made) or (isinstance(item, Tensor) and item.ndim == 0)


def compiling() -> bool:
    """Whether torch.compile is at work in this process: what it compiled is compiled anew where a mode is open."""
    utils = sys.modules.get("torch._dynamo.utils")
    counters = getattr(utils, "counters", {})
    return any(counters.get(kind) for kind in ("frames", "stats")) or torch.compiler.is_compiling()
