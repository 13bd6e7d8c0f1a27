"""Reasons for which a group of checks is exempt from laws that hold for all others (``Check.exempt``)."""

from __future__ import annotations

from collections.abc import Mapping

_RECORDED = "judges a run as far as it went, on what it recorded; run_completed judges its end"
AS_RECORDED: Mapping[str, str] = {"planned_end": _RECORDED, "missing_end": _RECORDED}
"""For universal checks on any run: early stopping and an epoch without validation are ordinary."""
LEVELS: Mapping[str, str] = {**AS_RECORDED, "nan": "no single number decides it: levels of a curve do"}
"""The same for checks that compare levels of a curve."""
