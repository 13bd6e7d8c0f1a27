"""Whether rows of a batch see each other, and whether dropout stays on in eval mode: a few rows, once, all put back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lvmcheck.watch.measure.reach import OutOfReachError, Reach
from lvmcheck.watch.measure.shifts import sees_later
from lvmcheck.watch.preflight.nested import leaves, mapped
from lvmcheck.watch.preflight.setup import difference, time_first
from lvmcheck.watch.preflight.state import SavedGenerators, SavedModule
from lvmcheck.watch.preflight.trace import ATTENTION, DROPOUTS

FEW = 13
"""Rows that are tried: a number that no other dimension is likely to have."""
LARGEST = 1 << 24
"""Elements of buffers that are copied at most."""


Call = Callable[[tuple[Any, Any]], Any]
"""The model, called with positional and keyword arguments, so that nothing is left behind."""


class CannotTryError(Exception):
    """The model cannot be called once more; the message says why."""


@dataclass(frozen=True)
class Tried:
    """What was measured: dropouts that are on in eval mode, and how much other rows change the output of a row.

    ``change`` is None where dimension 0 may be something else than rows; ``later`` is how much the last token changes
    what is put out for the ones before it, None where there are no tokens.
    """

    dropouts: int
    change: float | None
    later: float | None = None


class Dropouts(TorchFunctionMode):
    """Counts dropouts that are on, of modules and of functions, while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.on = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, more = getattr(func, "__name__", ""), kwargs or {}
        if torch.compiler.is_compiling():
            return func(*args, **more)
        if name in DROPOUTS:
            share = args[1] if len(args) > 1 else more.get("p", 0.5)
            self.on += bool(args[2] if len(args) > 2 else more.get("training", True)) and float(share) > 0
        elif name == ATTENTION:
            self.on += float(args[4] if len(args) > 4 else more.get("dropout_p", 0.0)) > 0
        return func(*args, **more)


def few_rows(inputs: Any) -> tuple[Any, int]:
    """The first rows of all inputs, copied, and how many they are.

    Raises:
        CannotTryError: the tensors do not share dimension 0.
    """
    counts = {len(tensor) for tensor in leaves(inputs).values() if tensor.ndim}
    if len(counts) != 1 or any(tensor.is_sparse for tensor in leaves(inputs).values()):
        raise CannotTryError("the inputs have no dimension of rows in common")
    rows = min(FEW, counts.pop())
    if rows < 3:
        raise CannotTryError("the batch has fewer than three rows")
    return mapped(inputs, lambda _, tensor: tensor.detach()[:rows].clone() if tensor.ndim else tensor), rows


def tried(model: nn.Module, inputs: tuple[Any, Any], rows: int) -> Tried:
    """Call the model in eval mode on these rows, and with their neighbours in place of all but one.

    Raises:
        CannotTryError: it cannot be called again without being changed, or does not take a few rows.
    """
    with _put_back(model) as reach:
        call = _calling(model, reach)
        try:
            with Dropouts() as seen:
                plain = _outputs(call, inputs)
            again = _outputs(call, inputs)
            if seen.on:
                return Tried(seen.on, None)
            later = _later(call, inputs)
            shared = [key for key, tensor in plain.items() if _follows(tensor, rows)]
            if not shared or any(difference(plain[key], again[key]) > 0 for key in shared):
                return Tried(0, None, later)
            change = max(_change(call, inputs, plain, shared, kept, rows) for kept in (0, rows - 1))
            first = change == 0 or _rows_first(call, time_first(model), inputs, plain, shared)
            # Rows that see each other may be positions: then the last of dimension 1 is no later one.
            return Tried(0, change if first else None, later if change == 0 else None)
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError, KeyError) as problem:
            raise CannotTryError(f"the model does not take {rows} rows ({type(problem).__name__})") from None


def _calling(model: nn.Module, reach: Reach) -> Call:
    """The model as a function that leaves nothing behind, and draws the same in every call."""
    generators = SavedGenerators()

    def call(inputs: tuple[Any, Any]) -> Any:
        given = mapped(inputs, lambda _, tensor: tensor.clone())
        try:
            return model.forward(*given[0], **given[1])
        finally:
            generators.restore()
            reach.restore()

    return call


def _later(call: Call, inputs: tuple[Any, Any]) -> float | None:
    """Whether later tokens are seen; None where whole numbers are no tokens of one vocabulary, as of columns."""
    try:
        return sees_later(call, inputs)
    except (RuntimeError, ValueError, IndexError, KeyError):
        return None


def _outputs(call: Call, inputs: tuple[Any, Any]) -> dict[str, Tensor]:
    return {path: t.detach().clone() for path, t in leaves(call(inputs)).items() if t.is_floating_point()}


def _follows(tensor: Tensor, rows: int) -> bool:
    """Dimension 0 is that of the rows, and it is no table of rows by rows."""
    return bool(tensor.ndim) and tuple(tensor.shape).count(rows) == 1 and len(tensor) == rows


def _change(
    call: Call, inputs: Any, plain: dict[str, Tensor], shared: list[str], kept: int, rows: int, axis: int = 0
) -> float:
    """How much the output of one row changes when all others get the content of their neighbours."""
    order = torch.arange(rows, device="cpu").roll(1)
    order[kept] = kept
    moved = mapped(inputs, lambda _, t: t.index_select(axis, order.to(t.device)) if t.ndim > axis else t)
    outputs = _outputs(call, moved)
    return max(difference(plain[key].select(axis, kept), outputs[key].select(axis, kept)) for key in shared)


def _rows_first(call: Call, times: bool, inputs: Any, plain: dict[str, Tensor], shared: list[str]) -> bool:
    """Dimension 0 is that of rows, and not of time: an output has no other that the inputs share, or mixes it, too."""
    widest = max((tensor for tensor in leaves(inputs).values()), key=lambda tensor: tensor.ndim)
    if any(plain[key].ndim < widest.ndim and widest.ndim > 2 for key in shared):
        return True
    tokens = not widest.is_floating_point() and widest.ndim == 2 and widest.shape[1] > 2
    if tokens and all(plain[key].ndim <= 2 and plain[key].shape[-1] != widest.shape[1] for key in shared):
        return True  # one answer for each row of tokens
    if any(tensor.ndim == 1 and not _counts_up(tensor) for tensor in leaves(inputs).values()):
        return True  # lengths, or something else of each row
    if times:
        return False
    second = widest.shape[1] if widest.ndim > 1 else 0
    along = [key for key in shared if plain[key].ndim > 1 and plain[key].shape[1] == second]
    same = all(t.ndim > 1 and t.shape[1] == second for t in leaves(inputs).values())
    if not along or not same or second < 3:
        return True
    return max(_change(call, inputs, plain, along, kept, second, axis=1) for kept in (0, second - 1)) > 0


def _counts_up(tensor: Tensor) -> bool:
    """Whether it is evenly spaced, as positions and times are."""
    return len(tensor) < 3 or bool((tensor[1:] - tensor[:-1] == tensor[1] - tensor[0]).all())


@contextmanager
def _put_back(model: nn.Module) -> Iterator[Reach]:
    """Eval mode without hooks; modes, buffers, attributes and generators are as before afterwards."""
    modules = list(model.modules())
    buffers = [buffer for module in modules for buffer in module._buffers.values() if buffer is not None]
    if sum(buffer.numel() for buffer in buffers) > LARGEST:
        raise CannotTryError("its buffers are large")
    try:
        reach = Reach(model)
    except OutOfReachError as reason:
        raise CannotTryError(str(reason)) from None
    saved, modes = [SavedModule(module) for module in modules], [module.training for module in modules]
    contents, generators = [(buffer, buffer._version, buffer.clone()) for buffer in buffers], SavedGenerators()
    hooks = [module._forward_hooks for module in modules]
    try:
        for module in modules:
            module._forward_hooks = OrderedDict()
        model.eval()
        with torch.no_grad():
            yield reach
    finally:
        for module, hook, mode in zip(modules, hooks, modes, strict=True):
            module._forward_hooks, module.training = hook, mode
        for part in saved:
            part.restore()
        for buffer, version, content in contents:
            if buffer._version != version:
                with torch.no_grad():
                    buffer.copy_(content)
        generators.restore()
