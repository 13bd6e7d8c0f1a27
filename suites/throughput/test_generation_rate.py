"""Generation from the original model, 25.6 million parameters: with a cache beside without."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lvmcheck.testing.speed.kernels import COPY, copy
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock
from lvmcheck.testing.speed.turns import take_turns
from models.cognate.generate import generate
from models.cognate.model import Cognate
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures

VOCABULARY = 50_257
NEW = 256
GOAL = 5.0


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
def test_generation_rate(benchmark: Any, cpu: Place, figures: Figures) -> None:
    torch.manual_seed(0)
    model = Cognate(VOCABULARY).eval()
    prompt, new = [list(range(16))], NEW if FULL else NEW // 32
    generate(model, prompt, max_new=2)
    began = clock()
    slow = generate(model, prompt, max_new=new, cache=False)  # once: it takes most of a minute
    uncached = clock() - began
    lengths: list[int] = []
    turns = take_turns(
        benchmark,
        lambda: lengths.append(len(generate(model, prompt, max_new=new)[0])),
        {COPY: copy(cpu.device)},
        rounds=2,
        warm=False,
    )
    assert set(lengths) == {len(slow[0])} == {new}
    faster = uncached / turns.seconds()
    figures.say("Cognate", f"float32, {cpu.words()}")
    figures.add(
        "Cognate",
        f"generation, 25.6M, {new} tokens",
        f"{new / turns.seconds():,.0f} tokens/s",
        f"{faster:.1f} times faster with a cache",
        "one row, greedy",
    )
    if FULL:
        asked = f"Cognate generates {NEW} tokens: >= {GOAL:.0f} times faster with a cache"
        figures.target(asked, f"{faster:.1f} times", faster >= GOAL)
    comparable(
        benchmark,
        turns.over(COPY).times(1 / new),
        calibration=COPY,
        place=cpu,
        batch=1,
        samples_per_s=new / turns.seconds(),
        ratio=faster,
    )
