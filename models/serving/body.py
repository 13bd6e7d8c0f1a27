"""Request bodies: bounded before anything is allocated, in JSON or as a .npy file."""

from __future__ import annotations

import asyncio
import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from models.serving.limits import Limits, RefusedError

NPY = "application/x-npy"
JSON_TYPES = ("application/json", "text/json", "application/x-www-form-urlencoded")  # the last is what curl -d says
MAX_HEADER = 10_000
BAD, TOO_LONG, TOO_LARGE, NOT_JSON, UNFIT = 400, 408, 413, 415, 422


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body, at most as large and as slow as allowed.

    Raises:
        RefusedError: it is larger, by what it says or by what comes, or takes longer.
        starlette.requests.ClientDisconnect: the client has gone.
    """
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limits.body:
        raise RefusedError(
            TOO_LARGE, f"expected at most {limits.body:,} bytes, got a Content-Length of {declared[:20]}"
        )
    parts, total = [], 0
    try:
        async with asyncio.timeout(limits.read):
            async for part in request.stream():
                total += len(part)
                if total > limits.body:
                    raise RefusedError(TOO_LARGE, f"expected at most {limits.body:,} bytes, and more came")
                parts.append(part)
    except TimeoutError:
        raise RefusedError(TOO_LONG, f"expected the whole request within {limits.read:g} s") from None
    return b"".join(parts)


def content_type(request: Request) -> str:
    """Without its parameters."""
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


def json_object(body: bytes) -> Mapping[str, Any]:
    """The object of a JSON body.

    Raises:
        RefusedError: it is none.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:120]
        raise RefusedError(BAD, f"not JSON: {reason}") from None
    if not isinstance(found, dict):
        raise RefusedError(BAD, f"expected a JSON object, got {type(found).__name__}")
    return found


def vectors(request: Request, body: bytes) -> NDArray[Any]:
    """The contexts of a request to /predict.

    Raises:
        RefusedError: another format, no numbers, or rows of different lengths.
    """
    kind = content_type(request)
    if kind in (NPY, "application/octet-stream"):
        return npy(body)
    if kind not in JSON_TYPES:
        raise RefusedError(NOT_JSON, f"expected application/json or {NPY}, got {kind[:60]!r}")
    given = json_object(body)
    if "context" not in given:
        keys = ", ".join(map(repr, list(given)[:3])) or "nothing"
        raise RefusedError(UNFIT, f'expected {{"context": [[[...]]]}}, got {keys}')
    try:
        return np.array(given["context"], dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        raise RefusedError(UNFIT, "context: expected numbers [B, T, D] in rows of equal length") from None


def npy(body: bytes) -> NDArray[Any]:
    """The array of a .npy file in memory: as large as the body, whatever its header says.

    Raises:
        RefusedError: another file, no floating point numbers, or a header that does not fit to what follows.
    """
    file = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file, max_header_size=MAX_HEADER)
    except Exception as error:  # numpy passes on whatever its own parser of a damaged header raises
        raise RefusedError(BAD, f"not a .npy file: {str(error)[:120]}") from None
    if dtype.kind != "f" or dtype.itemsize > 8 or fortran or dtype.hasobject:
        order = " in Fortran order" if fortran else ""
        raise RefusedError(UNFIT, f"expected float16, float32 or float64 in C order, got {dtype}{order}")
    held = len(body) - file.tell()
    if math.prod(shape) * dtype.itemsize != held:
        raise RefusedError(BAD, f"its header says {list(shape)} of {dtype}, and {held:,} bytes follow")
    return np.frombuffer(body, dtype=dtype, offset=file.tell()).reshape(shape)


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The array as a .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return file.getvalue()
