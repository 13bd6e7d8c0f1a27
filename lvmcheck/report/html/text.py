"""Text from outside, made fit to be shown: bounded, and without control characters. Escaping is the template's work."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lvmcheck.checks.wording import figure, spaced

LONGEST = 600
"""Characters of any one text; samples have a limit of their own."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(value: object, limit: int = LONGEST) -> str:
    """``value`` as text without control characters, surrogates and direction overrides, cut to ``limit`` characters."""
    text = value if isinstance(value, str) else str(value)
    cut = text[:limit]
    more = f" … ({len(text):,} characters)" if len(text) > limit else ""
    return _CONTROL.sub("\ufffd", cut) + more


def name_text(name: str) -> str:
    """``val_cosine`` as ``val cosine``."""
    return spaced(clean(name, 80))


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


def listed(names: Sequence[str], most: int = 6) -> str:
    """``seed0, seed1 and 28 others``."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"
