"""The names of the loss terms, readable without torch (suite files are checked before torch is imported)."""

from __future__ import annotations

TERMS: tuple[str, ...] = ("mse", "info_nce", "moment", "variance")
"""Of vector models: :mod:`models.losses`."""

LANGUAGE_TERMS: tuple[str, ...] = (
    "ce",
    "ponder",
    "halting_entropy",
    "halting_diversity",
    "halting_calibration",
    "gate_entropy",
)
"""Of language models: :mod:`models.cognate.objective`."""
