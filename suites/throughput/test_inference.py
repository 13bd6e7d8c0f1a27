"""Prediction: latency and throughput of every model by batch size, beside AMN on the same machine in the same turn."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest
import torch
from torch import nn

from models import registry
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures
from suites.throughput.interleave import Lane, clock, take_turns

BATCHES = (1, 8, 32, 128)
SHARE = 0.03  # seconds of CPU that a turn at one batch size may take in the quick form


def calls(model: nn.Module, batch: int, count: int) -> Lane:
    """``count`` predictions of one batch of unit vectors, as a function of no argument."""
    x = nn.functional.normalize(torch.randn(batch, 5, 768), dim=-1)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(count):
                model(x)

    return run


def how_many(model: nn.Module, batch: int) -> int:
    """Predictions that fill a turn; the first one, which prepares kernels, is thrown away."""
    once = calls(model, batch, 1)
    once()
    began = clock()
    once()
    return max(1, min(200, int((0.3 if FULL else SHARE) / max(clock() - began, 1e-6))))


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("kind", registry.model_kinds())
def test_prediction_rate(benchmark: Any, kind: str, figures: Figures) -> None:
    model, amn = registry.build(kind).eval(), registry.build("amn").eval()
    *smaller, largest = BATCHES
    counts = {batch: how_many(model, batch) for batch in BATCHES}
    beside = {batch: how_many(amn, batch) for batch in BATCHES}
    lanes: dict[str, Lane] = {f"of {batch}": calls(model, batch, counts[batch]) for batch in smaller}
    lanes |= {f"amn {batch}": calls(amn, batch, beside[batch]) for batch in BATCHES}
    turns = take_turns(benchmark, calls(model, largest, counts[largest]), lanes, rounds=20 if FULL else 1)
    for batch in BATCHES:
        each = turns.seconds(f"of {batch}" if batch in smaller else None) / counts[batch]
        amns = f"amn {batch}"
        ratio = turns.between(f"of {batch}", amns) if batch in smaller else turns.over(amns)
        figures.add(
            f"{kind}, prediction in batches of {batch}",
            f"{each * 1e3:.3g} ms, {batch / each:,.0f} samples/s",
            ratio=f"{ratio.times(beside[batch] / counts[batch]).median:.2g} times AMN's time",
            note="768 wide, context 5, float32, CPU time, one thread, after warm-up",
        )
    rate = largest * counts[largest] / turns.seconds()
    benchmark.extra_info.update(device="cpu", dtype="float32", batch=largest, threads=1, samples_per_s=rate)


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.parametrize("kind", registry.model_kinds())
def test_latency_of_one_prediction(kind: str, figures: Figures) -> None:
    """Wall time a caller waits, every call timed by itself: what a service's limits are about."""
    model = registry.build(kind).eval()
    one = calls(model, 1, 1)
    for _ in range(5):
        one()
    waits = []
    for _ in range(200 if FULL else 20):
        began = time.perf_counter()
        one()
        waits.append(1e3 * (time.perf_counter() - began))
    cuts = statistics.quantiles(waits, n=100, method="inclusive")
    figures.add(
        f"{kind}, one prediction",
        f"{statistics.median(waits):.3g} ms median",
        ratio=f"p95 {cuts[94]:.3g}, p99 {cuts[98]:.3g} ms",
        note=f"wall time of {len(waits)} calls after 5 of warm-up; other processes count",
    )
