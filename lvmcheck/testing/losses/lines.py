"""The line of a loss to look at: its operations as they are called, each with the line that calls it."""

from __future__ import annotations

import contextlib
import inspect
import linecache
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lvmcheck.testing.losses.batches import Batch

HERE, TORCH = str(Path(__file__).parent), str(Path(torch.__file__).parent)
STEPWISE = ("item", "tolist", "numpy", "round", "floor", "ceil", "sign", "argmax", "heaviside")
SCALING = ("mul", "__mul__", "__rmul__", "mul_", "div", "__truediv__", "pow", "__pow__")
ORDERED = ("__getitem__", "cumsum", "arange", "linspace", "roll", "flip", "index_select", "narrow")


@dataclass(frozen=True)
class Line:
    """A line of source."""

    file: str
    number: int
    text: str


@dataclass(frozen=True)
class Step:
    """One operation of torch, as the loss calls it."""

    name: str
    inputs: tuple[Tensor, ...]
    output: object
    line: Line | None


class Steps(TorchFunctionMode):
    """Inside, every operation that is called is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Step] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        inputs = tuple(value for value in (*args, *(kwargs or {}).values()) if isinstance(value, Tensor))
        if isinstance(output, Tensor) and output.requires_grad and not output.is_leaf:
            output.retain_grad()
        named = func.__self__ if getattr(func, "__name__", "") == "__get__" else func  # an attribute, such as .data
        self.taken.append(Step(getattr(named, "__name__", ""), inputs, output, _caller()))
        return output


def _caller() -> Line | None:
    """The innermost line that belongs to neither torch nor this package, of what was called from here."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code is not line_of.__code__:
        file = frame.f_code.co_filename
        if not file.startswith((HERE, TORCH)):
            return Line(_shown(file), frame.f_lineno, linecache.getline(file, frame.f_lineno).strip())
        frame = frame.f_back
    return None


def _shown(file: str) -> str:
    """A path from the working folder where it lies below, else the name of the file."""
    path = Path(file)
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name


def line_of(law: str, loss: Callable[..., Tensor], batch: Batch, *more: object) -> Line | None:
    """Where ``loss`` breaks ``law`` on ``batch``, else where it is defined; None where it has no source."""
    steps = Steps()
    leaf = batch.prediction.detach().clone().requires_grad_(True)
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with steps:
            value = loss(leaf, batch.target, *more)
        value.sum().backward()  # type: ignore[no-untyped-call]
    taken = [step for step in steps.taken if step.line is not None]
    step = next(_suspects(law, taken), None)
    return _definition(loss) if step is None else step.line


def _suspects(law: str, taken: Sequence[Step]) -> Iterator[Step]:
    """Steps that may break the law, the likeliest first."""
    if law in ("finite", "zero_vectors", "same_in_every_precision"):
        yield from (step for step in taken if not _good(step.output) and all(map(_good, step.inputs)))
        yield from (step for step in reversed(taken) if _good(_grad(step.output)) and not all(map(_good, _grads(step))))
    if law == "no_broadcast":
        yield from (step for step in taken if len({tuple(each.shape) for each in step.inputs if each.ndim}) > 1)
    if law == "gradient":
        yield from (step for step in taken if step.name in STEPWISE or _cuts(step))
    if law == "row_order":
        yield from (step for step in taken if step.name in ORDERED)
    if law == "weight_scale":
        yield from (step for step in reversed(taken) if step.name in SCALING)
    if law == "reduction":
        yield from (step for step in reversed(taken) if _reduces(step))
    yield from (step for step in reversed(taken) if isinstance(step.output, Tensor))


def _cuts(step: Step) -> bool:
    """Whether a gradient goes in and none comes out."""
    out = step.output
    tracked = any(value.requires_grad for value in step.inputs)
    return isinstance(out, Tensor) and out.is_floating_point() and tracked and not out.requires_grad


def _reduces(step: Step) -> bool:
    return isinstance(step.output, Tensor) and any(each.numel() > step.output.numel() for each in step.inputs)


def _good(value: object) -> bool:
    return not isinstance(value, Tensor) or not value.is_floating_point() or bool(value.isfinite().all())


def _grad(value: object) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a tensor that is no leaf and keeps none
        return value.grad if isinstance(value, Tensor) else None


def _grads(step: Step) -> list[object]:
    return [_grad(value) for value in step.inputs]


def _definition(loss: Callable[..., Tensor]) -> Line | None:
    body = loss if inspect.isfunction(loss) or inspect.ismethod(loss) else type(loss)
    try:
        file, (text, number) = inspect.getsourcefile(body), inspect.getsourcelines(body)
    except (OSError, TypeError):
        return None
    return Line(_shown(file or ""), number, text[0].strip())
