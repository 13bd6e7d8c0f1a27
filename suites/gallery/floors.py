"""What the gallery must reach, set by hand after a measurement; ``None`` for a form that the tests leave out."""

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
    ("tuning", SHORT): Floor(flagged=0.75, right=0.75, healthy_warned=1),
    ("tuning", FULL): Floor(flagged=0.93, right=0.95, healthy_warned=1),
    ("heldout", SHORT): None,
    ("heldout", FULL): Floor(flagged=0.9, right=0.88, healthy_warned=2),
    ("second", SHORT): None,
    ("second", FULL): Floor(flagged=0.86, right=0.9, healthy_warned=2),
    ("third", SHORT): None,
    ("third", FULL): Floor(flagged=0.84, right=0.84, healthy_warned=2),
}
"""Set and form -> floor, below what was measured on 29 November 2026 (docs/gallery.md, docs/gallery-unseen.md). SHORT
is what the default test run judges: eight programs, four of them broken."""
