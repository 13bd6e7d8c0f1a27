"""Calls of loss functions between a forward pass and its step, seen by a mode that passes every call on as it is."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, overrides

from lvmcheck.watch.measure.columns import table
from lvmcheck.watch.measure.frequencies import plain_target
from lvmcheck.watch.measure.leaving import Leaving, left
from lvmcheck.watch.measure.mirrored import picture
from lvmcheck.watch.measure.outputs import WHOLE, class_rows

CLASSES = frozenset({"cross_entropy", "nll_loss", "kl_div"})
BINARY = frozenset({"binary_cross_entropy_with_logits"})
SQUARES = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
SOFTMAXES = frozenset({"softmax", "log_softmax", "logsumexp"})
DIFFERENCES = frozenset({"sub", "__sub__", "rsub", "__rsub__"})
EMBEDDINGS = frozenset({"normalize", "cosine_similarity"})
_STACK: Any = overrides  # its functions on the stack of modes have no types
SEEN = CLASSES | BINARY | SQUARES | SOFTMAXES | DIFFERENCES | EMBEDDINGS
CLOSE, FAR, MASKED = 1e-3, 1e-2, -1e3
"""How near to 1 sums of probabilities are, and how far those are that are none, and what no
similarity is."""
ROWS, FEWEST = 128, 8
"""Rows that are looked at, and rows from which a batch has a variance."""
VIEWS = (
    *("View", "Reshape", "Squeeze", "Unsqueeze", "Select", "Slice", "Transpose", "Permute"),
    *("Unsafe", "Clone", "ToCopy", "Alias", "TBack"),
)
FLAGS = (
    *("softmax_twice", "wrong_axis", "not_log_probabilities", "sigmoid_twice", "broadcast", "out_of_range"),
    *("rectified", "squashed", "out_of_reach", "over_batch", "divided"),
)
REACH = {"Relu": (0.0, math.inf), "Softplus": (0.0, math.inf), "Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
"""What an activation can give, by the operation that autograd saw last."""
BEYOND, MARGIN = 0.05, 0.05
"""Share of the targets that no output can be, and how far beyond they are, as a part of the targets' range."""


@dataclass(frozen=True)
class Call:
    """One call.

    Args:
        name: the function.
        flags: what its shapes and its graph say.
        sums: how far sums over classes are from 1 at most and at least, the same over rows, and the lowest value; None
            where they mean nothing.
        target: lowest and highest target; None where it is none of a regression.
        embedding: rows that were brought to length 1.
        classes: target of a loss over classes, and the number that it ignores.
        beyond: share of the targets that the activation before it cannot give.
        given: target of any loss.
        scored: the loss is a mean or a sum over all of its targets.
        plain: targets, the class that is ignored, the loss and the number of classes of a plain mean over classes.
        squared: the target of a plain mean squared error, and its value.
        picture: logits and masks.
        table: output and target, where both are tables of numbers.
        asked: the arguments of a loss over classes.
        pairs: 1 where the logits compare a batch with a batch, each row with one other, else 0, and their range.
    """

    name: str
    flags: frozenset[str] = frozenset()
    sums: Tensor | None = None
    target: Tensor | None = None
    embedding: Tensor | None = None
    classes: tuple[Any, int] | None = None
    beyond: Tensor | None = None
    given: Any = None
    scored: bool = False
    plain: tuple[Tensor, int, Tensor, int] | None = None
    pairs: Tensor | None = None
    asked: tuple[Any, dict[str, Any]] | None = None
    squared: tuple[Tensor, Tensor] | None = None
    picture: tuple[Tensor, Tensor] | None = None
    table: tuple[Tensor, Tensor] | None = None

    @property
    def measured(self) -> Tensor | None:
        """Numbers on the device that :func:`judged` needs."""
        return next((found for found in (self.sums, self.beyond, self.target) if found is not None), None)


class LossCalls(Leaving):
    """Hands each call of a loss function with a gradient to ``use``; below all other modes, whatever their order."""

    def __init__(self, use: Callable[[Call], None]) -> None:
        super().__init__()
        self._use = use
        self._open = False

    def open(self) -> None:
        """Look from now on."""
        if not self._open:
            self._open = True
            above = [_STACK._pop_mode() for _ in _STACK._get_current_function_mode_stack()]
            for mode in (self, *reversed(above)):
                _STACK._push_mode(mode)

    def close(self) -> None:
        """Look no longer; all other modes stay."""
        if self._open:
            left(self)
        self._open = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.compiler.is_compiling():
            return func(*args, **(kwargs or {}))
        more, name = kwargs or {}, getattr(func, "__name__", "")
        result = self.call(func, args, more)
        if name in SEEN and self._open and isinstance(result, Tensor) and result.requires_grad:
            with torch.no_grad():
                call = _call(name, args, more, result)
            if call is not None:
                self._use(call)
        return result


def _call(name: str, args: Any, more: dict[str, Any], result: Tensor) -> Call | None:
    one = args[0] if args else more.get("input")
    other = args[1] if len(args) > 1 else more.get("target")
    if not isinstance(one, Tensor) or not one.ndim or not one.numel() or one.is_sparse:
        return None
    if name in EMBEDDINGS:
        over = name == "normalize" and _over_batch(one, args[2] if len(args) > 2 else more.get("dim", 1))
        found = frozenset({"over_batch"} if over else ())
        return Call(name, found, embedding=result if name == "normalize" else one) if one.ndim == 2 else None
    if name in SOFTMAXES:
        return _softmax(name, one, args[1] if len(args) > 1 else more.get("dim"))
    if name in CLASSES:
        ignored = more.get("ignore_index", args[4] if len(args) > 4 else -100)
        scored = not result.ndim and (args[2] if len(args) > 2 else more.get("weight")) is None
        classes = None if name == "kl_div" else (other, ignored)
        average = None
        if isinstance(other, Tensor) and plain_target(name, args, more, result):
            average = other, ignored, result, one.shape[1 if one.ndim > 1 else 0]
        known = replace(_classes(name, one), classes=classes, given=other, scored=scored, plain=average)
        asked = (args, more) if classes is not None else None
        return replace(known, pairs=_pairs(one, other), asked=asked, picture=picture(name, one, other))
    if not isinstance(other, Tensor) or not other.numel():
        return None
    flags = {"broadcast"} if spread_out(one, other) and one.requires_grad != other.requires_grad else set()
    if name in DIFFERENCES:
        out, target = (one, other) if one.requires_grad else (other, one)
        beyond = _beyond(out, target) if out.requires_grad and _is_target(target) and _meet(out, target) else None
        return Call(name, frozenset(flags), beyond=beyond) if flags or beyond is not None else None
    if name in BINARY:
        flags |= {"sigmoid_twice"} if came_from(one, "Sigmoid") else set()
        flags |= {"rectified"} if came_from(one, "Relu") else {"squashed"} if came_from(one, "Tanh") else set()
        asked = (args, more) if isinstance(more.get("pos_weight"), Tensor) else None
        call = Call(name, frozenset(flags), target=_range(other), given=other, asked=asked)
        return replace(call, picture=picture(name, one, other))
    if not _is_target(other):
        return Call(name, frozenset(flags))
    mean = name == "mse_loss" and not result.ndim and more.get("reduction", "mean") == "mean"
    squared = (other, result) if mean and one.shape == other.shape and len(other) >= FEWEST else None
    call = Call(name, frozenset(flags), target=_range(other), beyond=_beyond(one, other), given=other, squared=squared)
    return replace(call, table=table(one, other))


def _over_batch(given: Tensor, axis: Any) -> bool:
    """Whether a table that is computed, and so no weight, is normalised along its rows."""
    return given.ndim == 2 and axis in (0, -2) and not given.is_leaf and not came_from(given, "torch::autograd::Accu")


def _pairs(logits: Tensor, targets: Any) -> Tensor | None:
    """Whether square logits have each row's own class, as similarities within a batch have, and their range; [2]."""
    if logits.ndim != 2 or len(logits) < 4 or logits.shape[0] != logits.shape[1]:
        return None
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.shape != logits.shape[:1]:
        return None
    own = (targets.sort().values == torch.arange(len(targets), device=targets.device)).all().float()
    values = logits.detach().float()
    lowest = torch.where(values > MASKED, values, values.amax()).amin()  # a masked diagonal is no similarity
    return torch.stack([own.to(values), values.amax() - lowest])


def _meet(output: Tensor, target: Tensor) -> bool:
    """Whether they have one shape, or that of quantiles of each target."""
    return output.shape == target.shape or (output.ndim == target.ndim and target.shape[-1] == 1)


def _is_target(given: Tensor) -> bool:
    return given.is_floating_point() and not given.requires_grad and given.numel() >= 8


def _beyond(output: Tensor, target: Tensor) -> Tensor | None:
    """Share of the targets that an activation cannot give; None where the output comes from none, as [1]."""
    low, high = next((reach for name, reach in REACH.items() if came_from(output, name)), (0.0, 0.0))
    if low == high:
        return None
    values = target.detach().float()
    margin = MARGIN * (values.max() - values.min())
    return ((values < low - margin) | (values > high + margin)).float().mean()[None]


def _range(target: Tensor) -> Tensor:
    return torch.stack(target.detach().float().aminmax())


def _softmax(name: str, given: Tensor, axis: Any) -> Call | None:
    """A softmax outside of the model, whose input may be one already."""
    axis = axis[0] if isinstance(axis, tuple | list) and len(axis) == 1 else axis
    if not isinstance(axis, int) or given.ndim < 2 or not given.requires_grad:
        return None
    flat = given.detach().movedim(axis, -1).reshape(-1, given.shape[axis])[:ROWS].float()
    return Call(name, sums=_sums(flat, None)) if flat.shape[1] > 1 else None


def _classes(name: str, given: Tensor) -> Call:
    """A loss over classes, given logits (cross_entropy) or logs of probabilities."""
    if given.ndim < 2 or given.shape[1] < 2:
        return Call(name)
    first = name != "kl_div" and given.ndim > 2  # classes are dimension 1, and positions follow
    rows = class_rows(given.detach().movedim(1, -1) if first and given.ndim == 3 else given, ROWS)
    whole = given.detach().float() if given.ndim == 2 and 1 < len(given) <= WHOLE else None
    logs = name != "cross_entropy"
    flags = {"wrong_axis"} if logs and came_from(given, "LogSoftmax") else set()
    if not logs:
        flags |= {"rectified"} if came_from(given, "Relu") else set()
        flags |= {"squashed"} if came_from(given, "Tanh") or came_from(given, "Sigmoid") else set()
    lowest = rows.amin()
    rows, whole = (rows.exp() if logs else rows), (whole.exp() if logs and whole is not None else whole)
    found = _sums(rows, whole)
    found[-1] = lowest
    return Call(name, frozenset(flags), sums=found)


def _sums(rows: Tensor, whole: Tensor | None) -> Tensor:
    across = (rows.sum(1) - 1).abs()
    down = across.new_full((), float("nan")) if whole is None else (whole.sum(0) - 1).abs().amax()
    return torch.stack([across.amax(), across.amin(), down, rows.amin()])


def judged(call: Call, numbers: list[float]) -> dict[str, float]:
    """Each of :data:`FLAGS` as 0 or 1, from what was measured."""
    flags = set(call.flags - {"wrong_axis"})
    if call.sums is not None and numbers:
        most, least, down, lowest = numbers
        probabilities = most <= CLOSE and lowest >= 0
        normed_down = down == down and down <= CLOSE
        if call.name in SOFTMAXES | {"cross_entropy"}:
            flags |= {"softmax_twice"} if probabilities else set()
            flags |= {"wrong_axis"} if normed_down and lowest >= 0 and not probabilities else set()
        elif not most <= CLOSE and least > CLOSE:
            off = normed_down or (lowest < 0 and "wrong_axis" in call.flags)
            flags |= {"wrong_axis"} if off else {"not_log_probabilities"} if least > FAR else set()
    elif call.beyond is not None and numbers:
        flags |= {"out_of_reach"} if numbers[0] >= BEYOND else set()
    elif call.name in BINARY and call.target is not None and numbers:
        flags |= {"out_of_range"} if numbers[0] < -CLOSE or numbers[1] > 1 + CLOSE else set()
        flags |= {"divided"} if numbers[0] == 0 and abs(numbers[1] * 255 - 1) < CLOSE else set()
    return {flag: float(flag in flags) for flag in FLAGS}


def spread_out(one: Tensor, other: Tensor) -> bool:
    """Whether one is [N, ..., 1] and the other [N, ...], of which broadcasting makes [N, N]."""
    small, large = sorted((one, other), key=lambda tensor: tensor.ndim)
    if large.ndim != small.ndim + 1 or small.ndim < 1 or large.shape[-1] != 1 or len(small) < 2:
        return False
    return large.shape[:-1] == small.shape


def came_from(tensor: Tensor, operation: str, through: Sequence[str] = ()) -> bool:
    """Whether a tensor is the output of an operation, seen through views and casts, and the nodes of ``through``."""
    node = tensor.grad_fn
    for _ in range(8):
        if node is None:
            return False
        name = node.name()
        if name.startswith(operation):
            return True
        if not name.startswith((*VIEWS, *through)) or not node.next_functions:
            return False
        node = node.next_functions[0][0]
    return False


def alike(rows: Tensor) -> Tensor:
    """Mean cosine between different rows, and how far their lengths are from 1 at most; float32 [2]."""
    flat = rows.detach()[:WHOLE].float().flatten(1)
    lengths = flat.norm(dim=1)
    unit = flat / lengths.clamp_min(1e-12)[:, None]
    count = len(flat)
    mean = (count * unit.mean(0).square().sum() - 1) / max(1, count - 1)
    return torch.stack([mean, (lengths - 1).abs().amax()])


def compiling() -> bool:
    """Whether torch.compile is at work in this process: what it compiled is compiled anew where a mode is open."""
    counters = getattr(sys.modules.get("torch._dynamo.utils"), "counters", {})
    return any(counters.get(kind) for kind in ("frames", "stats")) or torch.compiler.is_compiling()
