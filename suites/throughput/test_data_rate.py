"""What the data cost beside the training that uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.data.dataset import open_data
from models.trainers.session import reproducible
from suites.throughput.amn_loop import WINDOWS, Loops, amn_config
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent
from suites.throughput.interleave import clock, take_turns


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", [32, 512])
def test_drawing_batches(benchmark: Any, batch: int, figures: Figures, tmp_path: Path) -> None:
    steps = max(2, 256 // batch)
    with reproducible(0, threads=1):
        loops = Loops.make(batch, tmp_path, steps=steps)
        block = np.ones_like(loops.loader.block)

        def copy() -> None:
            for _ in range(steps):
                np.copyto(loops.loader.block, block)

        turns = take_turns(benchmark, loops.gather, {"copy": copy, "bare": loops.bare}, rounds=12 if FULL else 3)
    share, over = turns.over("bare"), turns.over("copy")
    rate = steps * batch / turns.seconds()
    figures.add(
        f"drawing batches of {batch}",
        f"{rate:,.0f} windows/s",
        ratio=f"{percent(share.median)} of a bare training step",
        note=f"shuffled, twin in float32, {over.median:.1f} times a plain copy of the block, CPU time",
    )
    benchmark.extra_info.update(device="cpu", dtype="float32", batch=batch, windows_per_s=rate, ratio=share.median)


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.benchmark(timer=clock)
def test_drawing_an_epoch_of_the_twin(benchmark: Any, figures: Figures, tmp_path: Path) -> None:
    config = amn_config(32)
    assert isinstance(config["data"], dict)
    data = open_data({**config["data"], "fresh": True}, seed=0)
    data.train_epoch(1)
    epochs = iter(range(2, 1000))
    drawn: list[int] = []
    with reproducible(0, threads=1):
        loops = Loops.make(32, tmp_path, steps=8)
        turns = take_turns(
            benchmark,
            lambda: drawn.append(len(data.train_epoch(next(epochs)))),
            {"bare": loops.bare},
            rounds=10 if FULL else 3,
        )
    assert set(drawn) == {WINDOWS}
    share = turns.over("bare").times(8 * 32 / WINDOWS)
    figures.add(
        "drawing a fresh epoch of the twin",
        f"{WINDOWS / turns.seconds():,.0f} windows/s",
        ratio=f"{percent(share.median)} of training on it at batch 32",
        note=f"{WINDOWS:,} windows of 768, context 5, CPU time",
    )
    benchmark.extra_info.update(device="cpu", dtype="float32", windows_per_s=WINDOWS / turns.seconds())
    benchmark.extra_info.update(ratio=share.median)
