"""``training_history.json`` in the original project's schema (history 4), so that their tools and ours can compare
runs."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.checkpoints.atomic import publish_file

FILE = "training_history.json"
_RENAMED = {"train_loss_info_nce": "train_loss_info"}
_KEYS = (
    "epoch",
    "train_loss",
    "train_cosine",
    "train_loss_mse",
    "train_loss_info",
    "train_loss_moment",
    "train_loss_variance",
    "val_loss",
    "val_cosine",
    "lr",
)


def row(epoch: int, metrics: Mapping[str, float]) -> dict[str, float]:
    """One epoch under the original project's keys, in their order; what was not computed is absent, never 0."""
    known = {_RENAMED.get(name, name): value for name, value in metrics.items()} | {"epoch": epoch}
    return {key: known[key] for key in _KEYS if key in known}


def export(path: Path, *, kind: str, parameters: int, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes the history at ``path``, replacing an older one whole. NaN is written in Python's spelling.

    ``lr`` is the rate that the epoch's last step used; the original project logged the next epoch's.
    """
    losses = [each["val_loss"] for each in rows if math.isfinite(each["val_loss"])]
    body = {
        "model_type": kind,
        "model_name": kind.upper(),
        "history": list(rows),
        "best_val_loss": min(losses) if losses else None,
        "final_params": parameters,
        "trained_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    publish_file(path, json.dumps(body, indent=2).encode() + b"\n")
