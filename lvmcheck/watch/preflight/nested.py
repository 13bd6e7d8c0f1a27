"""The tensors of a nested batch or output by path, and copies of it with some of them replaced."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

DEPTH = 5


def leaves(nested: Any) -> dict[str, Tensor]:
    """Tensors by dotted path, such as ``0``, ``input_ids`` or ``0.x``; ``batch`` for a bare tensor."""
    return {path or "batch": tensor for path, tensor in _walk(nested, "", DEPTH)}


def _walk(nested: Any, path: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(nested, Tensor):
        yield path, nested
    elif depth:
        for key, value in _children(nested):
            yield from _walk(value, f"{path}.{key}" if path else str(key), depth - 1)


def _children(nested: Any) -> list[tuple[Any, Any]]:
    if isinstance(nested, Mapping):
        return list(nested.items())
    if isinstance(nested, tuple | list):
        return list(enumerate(nested))
    if dataclasses.is_dataclass(nested) and not isinstance(nested, type):
        return [(field.name, getattr(nested, field.name)) for field in dataclasses.fields(nested)]
    return []


def mapped(nested: Any, change: Callable[[str, Tensor], Tensor], path: str = "") -> Any:
    """A copy in which every tensor went through ``change(path, tensor)``; what holds no tensor stays as it is."""
    if isinstance(nested, Tensor):
        return change(path or "batch", nested)
    children = _children(nested)
    if not children or path.count(".") > DEPTH:
        return nested
    made = {key: mapped(value, change, f"{path}.{key}" if path else str(key)) for key, value in children}
    if isinstance(nested, Mapping):
        return made
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*made.values())
    if isinstance(nested, tuple | list):
        return tuple(made.values()) if isinstance(nested, tuple) else list(made.values())
    return dataclasses.replace(nested, **made)


def cloned(nested: Any) -> Any:
    """A copy whose tensors are leaves of their own, outside of any graph."""
    return mapped(nested, lambda _, tensor: tensor.detach().clone().requires_grad_(tensor.requires_grad))


def replaced(nested: Any, tensors: Mapping[str, Tensor]) -> Any:
    """A cloned copy with these tensors in place of those of the same path."""
    return mapped(nested, lambda path, tensor: tensors[path] if path in tensors else tensor.detach().clone())


def rows_of(nested: Any) -> int | None:
    """The size that the first dimensions of all tensors share (of size 1 apart); None where they differ."""
    sizes = {len(tensor) for tensor in leaves(nested).values() if tensor.ndim}
    if len(sizes) > 1:
        sizes.discard(1)
    return sizes.pop() if len(sizes) == 1 else None


def taken(nested: Any, index: Tensor, rows: int) -> Any:
    """A cloned copy of these rows of every tensor that has rows."""

    def take(_: str, tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        return tensor[index.to(tensor.device)] if tensor.ndim and len(tensor) == rows else tensor.clone()

    return mapped(nested, take)


def first_rows(nested: Any, count: int, rows: int) -> Any:
    return taken(nested, torch.arange(count), rows)
