"""A tiny language run, and ways to look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from lvmcheck.run.info import make_run
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.view import Run
from models.trainers.language import train
from suites.trainers.vector_kit import Judge, of

TINY: dict[str, Any] = {
    "model": {"kind": "cognate", "d_model": 16, "layers": 1, "d_ff": 32, "d_mem": 8, "head_dim": 8, "trm_heads": 2},
    "data": {
        "source": "generated",
        "sets": ["arithmetic", "recall"],
        "records": 60,
        "val_records": 24,
        "digits": 1,
        "facts": 2,
        "length": 48,
        "tokenizer": "bpe",
        "vocabulary": 320,
    },
    "loss": {"ce": 1.0, "ponder": 0.01, "halting_diversity": 0.1, "halting_calibration": 0.1},
    "curriculum": [{"name": "sums", "epochs": 1, "sets": ["arithmetic"]}, {"name": "all", "epochs": 2}],
    "epochs": 3,
    "batch_size": 8,
    "lr": 3e-3,
    "muon_lr": 1e-2,
    "warmup_steps": 2,
    "device": "cpu",
    "window": 4,
    "generation": {"questions": 6, "max_new": 4, "samples": 1},
}


def run(folder: Path, config: dict[str, Any], *, judge: Judge | None = None, resume: Path | None = None) -> Run:
    """Trains, or continues, and reads what was recorded."""
    if resume is None:
        make_run(folder, {"config": config, "seed": config.get("seed", 0)})
    with Recorder(folder, window=int(config["window"]), judge=judge, resume=resume) as rec:
        rec.begin()
        train(config, rec)
    return load(folder)


def evaluations(done: Run, name: str) -> list[dict[str, float]]:
    return [dict(event.metrics) for event in of(done, ev.Evaluation) if event.name == name]


def probes(done: Run, name: str) -> list[dict[str, float]]:
    return [dict(event.values) for event in of(done, ev.Probe) if event.name == name]


def curves(done: Run) -> list[dict[str, str]]:
    """Every metric of every epoch that is not a speed, to the bit."""
    return [
        {name: value.hex() for name, value in event.metrics.items() if name != "tokens_per_second"}
        for event in of(done, ev.Epoch)
    ]


def said(done: Run) -> list[tuple[str, dict[str, float]]]:
    """Every probe and evaluation, in their order."""
    events = [event for event in done.events if isinstance(event, ev.Probe | ev.Evaluation)]
    return [(e.name, dict(e.values if isinstance(e, ev.Probe) else e.metrics)) for e in events]
