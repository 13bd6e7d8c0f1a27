"""Runs to export, and what must come back."""

from __future__ import annotations

import importlib.util
import math
import struct
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.readers._columns import usual_name
from lvmcheck.run.view import Run

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "fixtures" / "runs"
PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
HARD = (1 / 3, math.nan, math.inf, -math.inf, 5e-324, -0.0, 1.7e308, math.pi * 1e-30)
"""Doubles that any detour through float32, text or a default loses."""


def needs(kind: str) -> pytest.MarkDecorator:
    gone = importlib.util.find_spec(PACKAGES[kind]) is None
    return pytest.mark.skipif(gone, reason=f"not installed: {PACKAGES[kind]}; pip install -e .[export]")


EVERY_KIND = [pytest.param(kind, marks=needs(kind)) for kind in PACKAGES]


def recorded(path: Path, *, close: bool = True) -> Path:
    """A run of our own recorder with terms, probes, samples, stages, notes and numbers that are hard to keep."""
    rec = lvmcheck.record(path, config={"epochs": len(HARD), "loss": {"mse": 1.0}, "kind": "amn"}, seed=7, window=2)
    rec.model(kind="amn", parameters=12, components={"head": 12})
    rec.data(name="twin", fingerprint="f", facts={"dim": 4, "share": math.nan}, notes=["a note of the data"])
    rec.evaluation("purity", {"difference": 0.0})
    rec.stage(index=0, name="easy", fingerprint="g", records={"a": 3})
    for epoch, value in enumerate(HARD, start=1):
        for step in range(4):
            rec.step(loss=1.0 / (epoch * 4 + step), terms={"mse": (1.0, 0.25)}, grad_norm=value, lr=0.1 / 3, samples=8)
        rec.probe("halting", {"mean": value})
        rec.sample("greedy", prompt="1+1=|", text="*2*\n    </pre>\ud800", answer="2")
        rec.epoch(epoch, val_loss=value, train_loss=-value, **{"act/halting variance": 0.1 * epoch})
        rec.probe("after", {"mean": value})
        rec.checkpoint("best", f"checkpoints/best-{epoch}", epoch=epoch, step=rec.steps)
    rec.note("the end is near")
    rec.evaluation("reload", {"val_loss": 0.5}, about="checkpoint best")
    rec.evaluation("reload", {"val_loss": 0.75}, about="checkpoint last")
    if close:
        rec.close("finished")
    return path


LARGEST = 3.4028234663852886e38
"""Of float32."""


def bits(value: float, kind: str) -> str:
    """All of a number as that logger keeps it, whatever the NaN.

    TensorBoard keeps float32, finite where the double is; W&B and MLflow keep doubles but the sign of -0.0.
    """
    if math.isnan(value):
        return "nan"
    if kind == "tensorboard":
        bounded = value if math.isinf(value) else max(-LARGEST, min(LARGEST, value))
        return struct.pack("<f", bounded).hex()
    return struct.pack("<d", value + 0.0).hex()


def metrics_of(run: Run, kind: str, *, ours: bool = False) -> dict[str, list[tuple[int, str]]]:
    """Every metric with its value at every epoch, as that logger keeps it, bit for bit.

    ``ours``: under the names that readers give them.
    """
    found = {}
    for name in run.metric_names:
        series = run.series(name)
        points = zip(series.epochs.tolist(), series.values.tolist(), strict=True)
        found[usual_name(name) if ours else name] = [(epoch, bits(value, kind)) for epoch, value in points]
    return found
