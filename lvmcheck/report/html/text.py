"""Text from outside, made fit to be shown: bounded, and without control signs. Escaping is the template's work."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lvmcheck.checks.wording import figure

SIGNS = 600
"""Signs that are kept of any one text; samples have a limit of their own."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(value: object, limit: int = SIGNS) -> str:
    """``value`` as text without control signs, surrogates and direction overrides, cut to ``limit`` signs."""
    text = value if isinstance(value, str) else str(value)
    cut = text[:limit]
    more = f" … ({len(text):,} signs)" if len(text) > limit else ""
    return _CONTROL.sub("\ufffd", cut) + more


def words(name: str) -> str:
    """``val_cosine`` as ``val cosine``."""
    return clean(name, 80).replace("_", " ")


def shown(value: object) -> str:
    """A measured value: a number as people read it, text as it is, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clean(value)
    return figure(float(value))


def fact(value: object) -> str:
    """A fact about the data: a number, a short list of numbers, or text."""
    if isinstance(value, list | tuple):
        listed = ", ".join(fact(item) for item in value[:12])
        return listed + (f", … ({len(value):,})" if len(value) > 12 else "")
    return shown(value)


def spelled(value: object) -> float | str | None:
    """A number that JSON had to spell out ("NaN") as the number; other text and numbers as they are."""
    if isinstance(value, str):
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value, value)
    if isinstance(value, bool):
        return str(value)
    return float(value) if isinstance(value, int | float) else None


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def listed(names: Sequence[str], most: int = 6) -> str:
    """``seed0, seed1 and 28 others``."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"
