"""Generation from the seeds' model, 25.6 million parameters: with a cache beside without."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.cognate.generate import generate
from models.cognate.model import Cognate
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures
from suites.throughput.interleave import clock

VOCABULARY = 50_257
NEW = 256
GOAL = 5.0


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.benchmark(timer=clock)
def test_generation_rate(benchmark: Any, figures: Figures) -> None:
    torch.manual_seed(0)
    model = Cognate(VOCABULARY).eval()
    prompt, new = [list(range(16))], NEW if FULL else NEW // 8
    generate(model, prompt, max_new=2)
    began = clock()
    slow = generate(model, prompt, max_new=new, cache=False)  # once: it takes most of a minute
    uncached = clock() - began
    fast = benchmark.pedantic(lambda: generate(model, prompt, max_new=new), rounds=3, warmup_rounds=0, iterations=1)
    assert len(fast[0]) == len(slow[0]) == new
    seconds = benchmark.stats.stats.median
    faster = uncached / seconds
    figures.add(
        f"Cognate of 25.6M, {new} tokens generated",
        f"{new / seconds:,.0f} tokens/s",
        ratio=f"{faster:.1f} times faster with a cache",
        note=f"one row, greedy, float32, CPU time, one thread; the target is for {NEW} tokens",
        **({"target": f">= {GOAL:.0f} times", "met": faster >= GOAL} if FULL else {}),
    )
    benchmark.extra_info.update(
        device="cpu", dtype="float32", batch=1, threads=1, tokens_per_s=new / seconds, ratio=faster
    )
