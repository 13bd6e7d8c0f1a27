"""What the gallery must reach, set by hand after a measurement; ``None`` for a half that must not be judged yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Least shares of the broken programs whose figures show it, and how many healthy ones may only be warned of."""

    flagged: float
    right: float
    healthy_warned: int


SHORT, FULL = "short", "full"

FLOORS: dict[tuple[str, str], Floor | None] = {
    ("tuning", SHORT): Floor(flagged=0.0, right=0.0, healthy_warned=1000),
    ("tuning", FULL): Floor(flagged=0.0, right=0.0, healthy_warned=1000),
    ("heldout", SHORT): None,
    ("heldout", FULL): None,
}
"""Half and form -> floor. SHORT is the fixed third that the default test run judges."""
