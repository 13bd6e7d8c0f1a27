"""What trainers hand over, as plain values of a run directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvmcheck.readers._columns import usual_name

RESERVED = ("epoch", "samples_per_second")


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config as JSON can hold it; anything else by its name."""
    return {str(name): _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def metrics_of(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by their usual names (``eval_loss`` is val_loss); what is no number is left out."""
    found = {}
    for name, value in values.items():
        ours = usual_name(name)
        number = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
        if ours not in RESERVED and isinstance(number, int | float) and not isinstance(number, bool):
            found[ours] = float(number)
    return found


def trainable(model: Any) -> tuple[str, int]:
    """Name and number of trainable parameters of a module."""
    count = sum(int(parameter.numel()) for parameter in model.parameters() if parameter.requires_grad)
    return type(model).__name__, count
