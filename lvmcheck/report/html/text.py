"""Names and values as the page shows them, bounded and fit to be shown. Escaping is the template's work."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.checks.wording import figure, spaced
from lvmcheck.text.fit import clean


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
