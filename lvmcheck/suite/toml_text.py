"""Plain values as TOML text; what TOML or a suite cannot hold is refused, never bent."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def value_text(value: object) -> str:
    """A string, boolean, finite number, list or table as TOML on one line.

    Raises:
        ValueError: anything else, such as None, a NaN or an integer beyond 64 bits.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key_text(str(key))} = {value_text(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    raise ValueError(f"expected a string, boolean, finite number, list or table, got {str(value)[:40]!r}")


def key_text(key: str) -> str:
    """A key, quoted where TOML asks for it."""
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    """JSON's escapes are TOML's; invisible characters and those that change the direction of text are escaped, too."""
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise ValueError("expected a string of Unicode, got half of a surrogate pair")
    return "".join(char if char.isprintable() else _escape(char) for char in json.dumps(text, ensure_ascii=False))


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
