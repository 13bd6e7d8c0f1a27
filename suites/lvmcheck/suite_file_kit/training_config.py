"""The schema beside the trainer: what ``[run]`` may say, and what can be logged."""

from __future__ import annotations

from lvmcheck.errors import InputError, nearest

METRICS = ("train_loss", "train_cosine", "val_cosine")
_KEYS = ("model", "data", "loss", "epochs", "lr", "batch_size")
_LOSSES = ("mse", "info_nce")


def validate(config: dict[str, object]) -> None:
    for key in config:
        if key not in _KEYS:
            raise InputError("trainer", "unknown key", key=key, fix=nearest(key, _KEYS))
    loss = config.get("loss")
    for name in loss if isinstance(loss, dict) else ():
        if name not in _LOSSES:
            raise InputError("trainer", "no such loss", key=f"run.loss.{name}", fix=nearest(name, _LOSSES))
    lr = config.get("lr", 1.0)
    if not isinstance(lr, float):
        raise InputError("trainer", f"expected float > 0, got {lr!r}", key="lr")
