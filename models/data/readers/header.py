"""The header of a .npy array, read without trusting it: a strict grammar instead of evaluating what is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from lvmcheck.errors import InputError

LIMIT = 10_000  # bytes of header text; numpy's own limit
_HEADER = re.compile(
    r"\{\s*'descr':\s*(?P<descr>'[<>|=]?[A-Za-z]\d{0,6}'|\[.*\])\s*,"
    r"\s*'fortran_order':\s*(?P<order>True|False)\s*,"
    r"\s*'shape':\s*\((?P<shape>[\d,\s]*)\)\s*,?\s*\}\s*",
    re.DOTALL,
)
FLOATS = (np.float16, np.float32, np.float64)


@dataclass(frozen=True)
class Header:
    """What an array says it is.

    Attributes:
        descr: its dtype as written; ``dtype`` is None for objects and structured arrays, which are never read.
        start: bytes before the data.
    """

    descr: str
    dtype: np.dtype[np.generic] | None
    shape: tuple[int, ...]
    fortran: bool
    start: int

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * (self.dtype.itemsize if self.dtype is not None else 0)

    def require(self, where: Path, key: str, kinds: str, shape: tuple[int | None, ...], meaning: str) -> None:
        """Raise unless the dtype's kind is in ``kinds`` ("f", "iu") and the shape fits (None is any length)."""
        if self.dtype is None:
            problem = f"array of Python objects or records (dtype {self.descr}); expected {meaning}"
            raise InputError(where, problem, key=key, fix="Objects are pickled and never read: save numbers.")
        if self.dtype.kind not in kinds or (self.dtype.kind == "f" and self.dtype.type not in FLOATS):
            raise InputError(where, f"dtype {self.dtype}; expected {meaning}", key=key)
        if self.dtype.byteorder == ">":
            raise InputError(where, f"big-endian dtype {self.descr}; expected little-endian {meaning}", key=key)
        fits = len(self.shape) == len(shape) and all(
            want is None or want == got for want, got in zip(shape, self.shape, strict=True)
        )
        if not fits:
            raise InputError(where, f"shape {list(self.shape)}; expected {meaning}", key=key)
        if self.fortran and len(self.shape) > 1:
            fix = "Save numpy.ascontiguousarray(array)."
            raise InputError(where, "is stored in Fortran order; expected C order", key=key, fix=fix)

    def require_size(self, where: Path, key: str, size: int) -> None:
        """Raise unless ``size`` bytes are exactly the header and the data that it promises."""
        if self.dtype is not None and self.start + self.nbytes != size:
            state = "truncated" if size < self.start + self.nbytes else "the header lies or bytes were appended"
            shape = " x ".join(map(str, self.shape))
            problem = (
                f"header promises {shape} {self.dtype} = {self.start + self.nbytes} bytes, there are {size}: {state}"
            )
            raise InputError(where, problem, key=key)


def read_header(stream: IO[bytes], where: Path, key: str) -> Header:
    """Parse the header at the start of ``stream``; raises InputError where it is not one numpy would write."""
    lead = stream.read(8)
    if len(lead) < 8 or lead[:6] != b"\x93NUMPY" or lead[6] not in (1, 2, 3):
        raise InputError(where, "not a npy array: its first bytes are not a npy header", key=key)
    width = 2 if lead[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > LIMIT:
        raise InputError(where, f"npy header of {length} bytes; expected at most {LIMIT}", key=key)
    raw = stream.read(length)
    match = _HEADER.fullmatch(raw.decode("latin-1")) if len(raw) == length else None
    if match is None:
        state = "truncated" if len(raw) < length else "malformed"
        raise InputError(where, f"npy header is {state}: expected descr, fortran_order and shape", key=key)
    numbers = [part.strip() for part in match["shape"].split(",") if part.strip()]
    if len(numbers) > 8 or any(len(number) > 15 or not number.isdigit() for number in numbers):
        raise InputError(where, f"npy header gives an impossible shape ({match['shape'].strip()[:60]})", key=key)
    descr = match["descr"].strip("'")
    return Header(
        descr=descr[:60],
        dtype=_dtype(descr),
        shape=tuple(int(number) for number in numbers),
        fortran=match["order"] == "True",
        start=8 + width + length,
    )


def _dtype(descr: str) -> np.dtype[np.generic] | None:
    if descr.startswith("[") or "O" in descr:
        return None
    try:
        return np.dtype(descr)
    except TypeError:
        return None
