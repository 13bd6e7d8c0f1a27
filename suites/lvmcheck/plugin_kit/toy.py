"""A trainer without torch that the plugin's tests copy into a project of their own: fast, seeded, resumable, mortal."""

from __future__ import annotations

import fcntl
import json
import time
from pathlib import Path
from typing import Any

from toy_deaths import WAYS

from lvmcheck.run.recorder import Recorder

FACTS = {"constant_mean": 0.40, "persistence": 0.42, "mean_of_context": 0.45, "best_linear": 0.50}


def train(config: dict[str, Any], rec: Recorder) -> None:
    """Cosines follow ``curve`` (one value an epoch) plus noise that depends on seed and on every step before."""
    state, begin, first = _load(rec.resume, config["seed"])
    if rec.resume is None:
        rec.data(name=config.get("data_name", "toy"), fingerprint="toy", facts=FACTS)
        rec.model(kind="toy", parameters=1)
        rec.declare(["train_cosine", "val_cosine"])
        if rec.stop:
            return
    for epoch in range(begin, config.get("returns_after", config["epochs"]) + 1):
        for step in range(first, config["steps"]):
            state = (state * 6364136223846793005 + 1442695040888963407 + config["seed"]) % 2**64
            time.sleep(config.get("pause", 0.0))
            if (epoch, step) == (2, config["steps"] // 2) and "hold" in config:
                _hold(rec, Path(config["hold"]))
            if (epoch, step) == (2, config["steps"] // 2) and "hold_lock" in config:
                _hold_lock(rec, Path(config["hold_lock"]))
            if (epoch, step) == (config.get("die_epoch", 2), config["steps"] // 2) and "die" in config:
                WAYS[config["die"]]()
            rec.step(loss=_loss(config, epoch, step), samples=8)
            if rec.stop and not config.get("deaf"):
                _save(rec, state, epoch, step + 1)
                return
        noise = state / 2**64 * 1e-3
        cosine = config["curve"][epoch - 1] + noise
        rec.epoch(epoch, train_cosine=cosine + 0.01, val_cosine=cosine)
        first = 0
        _save(rec, state, epoch + 1, 0)
        if rec.stop and not config.get("deaf"):
            return


def _hold(rec: Recorder, file: Path) -> None:
    """Wait while there is a file, unless the run is asked to stop."""
    while file.exists() and not rec.stop:
        time.sleep(0.01)


def _hold_lock(rec: Recorder, file: Path) -> None:
    """Wait while another process has the file locked, unless the run is asked to stop: a lock is no content."""
    with file.open("rb") as opened:
        while not rec.stop:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
            else:
                return


def _loss(config: dict[str, Any], epoch: int, step: int) -> float:
    bad = config.get("nan_at") == [epoch, step]
    return float("nan") if bad else 1.0 / (epoch * config["steps"] + step)


def _save(rec: Recorder, state: int, epoch: int, step: int) -> None:
    folder = rec.path / "checkpoints" / f"{epoch}-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_text(json.dumps([state, epoch, step]))
    rec.checkpoint("last", folder, epoch=epoch - 1, step=rec.steps)


def _load(folder: Path | None, seed: int) -> tuple[int, int, int]:
    if folder is None:
        return seed, 1, 0
    state, epoch, step = json.loads((folder / "state.json").read_text())
    return state, epoch, step
