"""The metrics that are shown, compared and drawn before all others, in this order."""

from __future__ import annotations

from collections.abc import Iterable

MAIN = (
    "val_cosine",
    "val_loss",
    "exact_match",
    "train_cosine",
    "train_loss",
    "ood_cosine",
    "val_bits_per_byte",
    "val_perplexity",
)


def main_first(names: Iterable[str]) -> list[str]:
    """The names, those of :data:`MAIN` first."""
    every = list(dict.fromkeys(names))
    return [name for name in MAIN if name in every] + [name for name in every if name not in MAIN]


def main_metric(names: Iterable[str]) -> str | None:
    """The first of :data:`MAIN` among them; None where none is."""
    known = set(names)
    return next((name for name in MAIN if name in known), None)
