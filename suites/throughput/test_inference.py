"""Prediction: latency and throughput of every model by batch size, beside AMN on the same machine in the same turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import nn

from lvmcheck.testing.speed.kernels import GEMM, SQUARE_FLOPS, counted, gemm
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock, synchronise
from lvmcheck.testing.speed.turns import Lane, take_turns
from models import registry
from models.checkpoints.inference import optimize_for_inference
from models.lvm.parts.vector_model import VectorModel
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent

TITLE, PREPARED = "prediction", ", prepared"
BEST = f"amn{PREPARED}"
KINDS = (*registry.model_kinds(), BEST)
Predict = Callable[[torch.Tensor], object]
BATCHES, SUBJECT = (1, 8, 32, 128), 32  # the quick form has 1 and the subject's, and all of AMN's
SHARE = 0.06 if FULL else 0.03  # seconds that a turn at one batch size may take
GOAL_SHARE, GOAL_LATENCY = 0.70, 0.2e-3  # AMN: of the GEMM rate at the largest batch, and seconds at batch 1


def predictor(kind: str, device: torch.device) -> Predict:
    """A new model as it is, or prepared for prediction alone."""
    model = cast(VectorModel, registry.build(kind.removesuffix(PREPARED)).eval().to(device))
    return optimize_for_inference(model) if kind.endswith(PREPARED) else model


def contexts(batch: int, device: torch.device) -> torch.Tensor:
    """Unit vectors [batch, 5, 768]."""
    return nn.functional.normalize(torch.randn(batch, 5, 768, device=device), dim=-1)


def calls(model: Predict, batch: int, count: int, device: torch.device) -> Lane:
    """``count`` predictions of one batch, as a function of no argument."""
    x = contexts(batch, device)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(count):
                model(x)

    return run


def how_many(model: Predict, batch: int, device: torch.device) -> int:
    """Predictions that fill a turn; the first one, which prepares kernels, is thrown away."""
    once = calls(model, batch, 1, device)
    once()
    began = clock()
    once()
    return max(1, min(200, int(SHARE / max(clock() - began, 1e-6))))


def waits(model: Predict, device: torch.device, count: int) -> list[float]:
    """Seconds on the clock that a caller waits for one prediction, each call timed by itself, after five of warm-up."""
    one, found = calls(model, 1, 1, device), []
    for _ in range(count + 5):
        began = time.perf_counter()
        one()
        synchronise(device)
        found.append(time.perf_counter() - began)
    return found[5:]


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_prediction_rate(benchmark: Any, kind: str, place: Place, figures: Figures) -> None:
    on = place.device
    model, amn = predictor(kind, on), predictor("amn", on)
    batches = BATCHES if FULL or kind.startswith("amn") else (1, SUBJECT)
    counts = {batch: how_many(model, batch, on) for batch in batches}
    beside = how_many(amn, SUBJECT, on)
    lanes: dict[str, Lane] = {f"of {batch}": calls(model, batch, counts[batch], on) for batch in batches}
    subject = lanes.pop(f"of {SUBJECT}")
    lanes |= {"amn": calls(amn, SUBJECT, beside, on), GEMM: gemm(on)}
    turns = take_turns(benchmark, subject, lanes, rounds=10 if FULL else 2)

    relative = turns.over(GEMM).times(1 / counts[SUBJECT])
    x, bare = contexts(2, on), predictor(kind.removesuffix(PREPARED), on)  # torch counts no packed product
    with torch.no_grad():
        row_flops = counted(lambda: bare(x)) // 2
    of_gemm = relative.inverse().times(row_flops * SUBJECT / SQUARE_FLOPS)
    each = {batch: turns.seconds(None if batch == SUBJECT else f"of {batch}") / counts[batch] for batch in batches}
    alone = waits(model, on, 200 if FULL else 20)
    cuts = statistics.quantiles(alone, n=100, method="inclusive")
    figures.say(
        TITLE, f"Milliseconds a call by batch size, after warm-up: 768 wide, context 5, float32; {place.words()}."
    )
    figures.say(
        TITLE, f"Rate, of GEMM, times AMN: at batch {SUBJECT}. Alone: {len(alone)} calls of one row, time on the clock."
    )
    figures.add(
        TITLE,
        kind,
        *(f"{each[batch] * 1e3:.3g}" if batch in each else "-" for batch in BATCHES),
        f"{SUBJECT / each[SUBJECT]:,.0f}",
        percent(of_gemm.median),
        f"{turns.over('amn').times(beside / counts[SUBJECT]).median:.2g}",
        *(f"{1e3 * seconds:.3g}" for seconds in (statistics.median(alone), cuts[94], cuts[98])),
    )
    if kind == BEST:
        largest = max(BATCHES)
        share = turns.between(GEMM, f"of {largest}").times(row_flops * largest * counts[largest] / SQUARE_FLOPS).median
        asked = f"AMN predicts {largest} rows: >= {GOAL_SHARE:.0%} of GEMM"
        figures.target(asked, percent(share), share >= GOAL_SHARE, f"{largest / each[largest]:,.0f} samples/s")
        latency = statistics.median(alone)
        met = latency < GOAL_LATENCY
        figures.target("AMN predicts one row: < 0.2 ms median", f"{1e3 * latency:.3g} ms", met, "time on the clock")
    rate = SUBJECT / each[SUBJECT]
    comparable(benchmark, relative, calibration=GEMM, place=place, batch=SUBJECT, samples_per_s=rate)
