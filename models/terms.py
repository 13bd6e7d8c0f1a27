"""The names of the loss terms, readable without torch (suite files are checked before torch is imported)."""

from __future__ import annotations

TERMS: tuple[str, ...] = ("mse", "info_nce", "moment", "variance")
