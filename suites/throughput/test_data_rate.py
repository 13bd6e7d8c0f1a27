"""What the data cost beside the training that uses them, and what it costs to look at them before."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from lvmcheck.testing.speed.kernels import COPY, copy
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock
from lvmcheck.testing.speed.turns import take_turns
from models.data.dataset import Dataset, open_data
from models.runtime.session import reproducible
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent
from suites.throughput.loops import WINDOWS, Loops, run_config

GATED = (WINDOWS, 4 * WINDOWS) if FULL else (WINDOWS // 16, WINDOWS // 4)


def twin(place: Place, **changes: object) -> Dataset:
    """The data of the runs that are measured."""
    return open_data({**cast(dict[str, object], run_config(32, place)["data"]), **changes}, seed=0)


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", [32, 512])
def test_drawing_batches(benchmark: Any, batch: int, place: Place, figures: Figures, tmp_path: Path) -> None:
    if batch != 32 and not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full")
    steps = max(2, 256 // batch)
    with reproducible(0, threads=place.threads):
        loops = Loops.make(run_config(batch, place), tmp_path, steps=steps)
        place_of_one = loops.loader.block[:batch]
        block = np.ones_like(place_of_one)

        def plain_copy() -> None:
            for _ in range(steps):
                np.copyto(place_of_one, block)

        lanes = {"plain": plain_copy, "bare": loops.bare, COPY: copy(place.device)}
        turns = take_turns(benchmark, loops.gather, lanes, rounds=12 if FULL else 1)
    share, over = turns.over("bare"), turns.over("plain")
    rate = steps * batch / turns.seconds()
    figures.add(
        "data",
        f"drawing batches of {batch}",
        f"{rate:,.0f} windows/s",
        f"{percent(share.median)} of a bare step of AMN",
        f"shuffled, twin in float32, {over.median:.1f} times a plain copy of the block",
    )
    each = turns.over(COPY).times(1 / steps)
    comparable(
        benchmark, each, calibration=COPY, place=place, batch=batch, samples_per_s=rate, ratio_to_bare=share.median
    )


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
def test_gate_cost(benchmark: Any, cpu: Place, figures: Figures) -> None:
    """Every measurement of the data that the gates judge, on data nobody looked at before."""
    small, large = GATED
    rounds = 2 if FULL else 1
    fresh = {size: iter([twin(cpu, sequences=size) for _ in range(rounds + 1)]) for size in GATED}
    rows: dict[int, int] = {}

    def look(size: int) -> None:
        data = next(fresh[size])
        assert data.facts()
        rows[size] = len(data.train_epoch(1).corpus.vectors)

    lanes = {"small": lambda: look(small), COPY: copy(cpu.device)}
    turns = take_turns(benchmark, lambda: look(large), lanes, rounds=rounds, warm=False)
    per_row = {small: turns.seconds("small") / rows[small], large: turns.seconds() / rows[large]}
    linear = turns.over("small").times(rows[small] / rows[large])
    figures.add(
        "data",
        f"gates of {rows[large]:,} rows",
        f"{per_row[large] * 1e6:.1f} us a row",
        f"{linear.median:.2f} times that of {rows[small]:,} rows",
        f"every fact of a data set, baselines included; {per_row[small] * 1e6:.1f} us a row there",
    )
    comparable(
        benchmark,
        turns.over(COPY).times(1 / rows[large]),
        calibration=COPY,
        place=cpu,
        batch=rows[large],
        samples_per_s=1 / per_row[large],
        over_linear=linear.median,
    )
