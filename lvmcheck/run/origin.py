"""Digests of what a run begins with: its first weights and its first batch. torch is not imported."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

MOST = 4096
"""Numbers of a tensor that are taken: all of a small one, every k-th of a large one."""
DEEP, LEAVES = 16, 10_000


def digest_of(value: Any) -> str:
    """sha256 over types, shapes and numbers of every tensor, array and number in a value; empty where there is none."""
    found, seen = hashlib.sha256(), 0
    for name, leaf in _leaves(value, "", DEEP):
        raw = _bytes(leaf)
        if raw is not None and seen < LEAVES:
            found.update(f"{name}\0{len(raw)}\0".encode() + raw)
            seen += 1
    return found.hexdigest() if seen else ""


def _leaves(value: Any, name: str, deep: int) -> Iterator[tuple[str, Any]]:
    if deep == 0:
        return
    if callable(getattr(value, "state_dict", None)):
        value = value.state_dict()
    if isinstance(value, Mapping):
        pairs = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple | set | frozenset):
        pairs = [(str(n), item) for n, item in enumerate(value)]
    elif hasattr(value, "__dataclass_fields__"):
        pairs = [(key, getattr(value, key)) for key in value.__dataclass_fields__]
    else:
        yield name, value
        return
    for key, item in pairs:
        yield from _leaves(item, f"{name}.{key}", deep - 1)


def _bytes(leaf: Any) -> bytes | None:
    """A tensor's or array's type, shape and numbers; None for what holds no numbers."""
    if isinstance(leaf, bool | int | float | str | bytes):
        return repr(leaf).encode()
    detach = getattr(leaf, "detach", None)
    try:
        tensor = detach() if callable(detach) else leaf
        head = f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
        flat = tensor.reshape(-1)
        length = int(flat.shape[0])
        flat = flat[:: max(1, length // MOST)]
        if callable(detach):
            flat = flat.cpu().resolve_conj().numpy() if flat.is_complex() else flat.cpu().double().numpy()
        array = flat.astype("complex128" if flat.dtype.kind == "c" else "float64")
        return head + bytes(array.tobytes())
    except (AttributeError, TypeError, ValueError, RuntimeError):  # no tensor, or one of a kind that has no numbers
        return None
