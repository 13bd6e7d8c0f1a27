"""The language trainer against the loop that anybody would write over the same model, data and optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest
import torch

from lvmcheck.run.recorder import Recorder
from lvmcheck.run.start import record
from lvmcheck.suite import load_suite
from lvmcheck.testing.speed.kernels import GEMM, SQUARE_FLOPS, counted, gemm
from lvmcheck.testing.speed.memory import PeakMemory
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock
from lvmcheck.testing.speed.turns import take_turns
from models.cognate.model import Cognate
from models.cognate.objective import language_terms
from models.data.text.batches import TokenBatch
from models.losses import weighted_total
from models.runtime.session import reproducible
from models.trainers import loop
from models.trainers.language import LanguageTask
from models.trainers.language_config import parse
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent, signed

SUITE = Path(__file__).parents[1] / "cognate_phase1" / "reasoning" / "suite.toml"
STEPS = 25  # of a turn: the window of the suite, so that every turn pays for one set of probes
PLAIN = 10 if FULL else 3  # of a turn of the loop beside it
GOAL, GOAL_BATCH = 0.10, 16
ROUNDS = {16: 3 if FULL else 1, 64: 1}
VOCABULARY, LENGTH = 50_257, 256  # of the original model, and tokens of the row that it is measured on


@dataclass
class Loops:
    """One model and one optimizer, stepped by whichever loop is measured."""

    task: LanguageTask
    recorder: Recorder
    batches: Iterator[TokenBatch]
    tokens: int = 0

    @classmethod
    def make(cls, folder: Path, place: Place, batch: int) -> Loops:
        """The smoke run of the suite, from its beginning."""
        where = {"device": place.device.type, "threads": place.threads, "batch_size": batch}
        task = LanguageTask.make(parse({**load_suite(SUITE, profile="smoke").config, **where}))
        stage, seed = task.setup.stages[-1], task.cfg.seed
        epochs = (stage.batches(batch, seed=seed, epoch=epoch) for epoch in count(1))
        task.model.train()
        whole = (each for each in chain.from_iterable(epochs) if len(each.tokens) == batch)
        return cls(task, record(folder / "run", window=task.cfg.window), whole)

    def plain(self, steps: int = PLAIN) -> None:
        """Batch, loss, gradients, clipping, optimizer: no schedule, no metric, nothing recorded."""
        task = self.task
        parameters = list(task.model.parameters())
        for _ in range(steps):
            batch = next(self.batches).to(task.device)
            output = task.model(batch.tokens, segments=batch.segments)
            loss = weighted_total(language_terms(task.model, output, batch.targets, task.cfg.loss))  # type: ignore[arg-type]
            task.state.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, task.cfg.clip_norm)
            task.state.optimizer.step()

    def trainer(self) -> None:
        """The trainer's loop: schedule, metrics, average, probes at the end of a window, recorder, the look at stop."""
        for _ in range(STEPS):
            batch = next(self.batches)
            loop.train_step(self.task, [batch], self.recorder)
            self.tokens += batch.scored
            if self.recorder.stop:
                raise RuntimeError("nobody asked this run to stop")


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", [GOAL_BATCH, 64])
def test_language_rate(benchmark: Any, batch: int, place: Place, figures: Figures, tmp_path: Path) -> None:
    if batch != GOAL_BATCH and not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full")
    with reproducible(0, threads=place.threads):
        loops = Loops.make(tmp_path, place, batch)
        flops = counted(lambda: loops.plain(1))
        lanes = {"plain": loops.plain, GEMM: gemm(place.device)}
        turns = take_turns(benchmark, loops.trainer, lanes, rounds=ROUNDS[batch], warm=False)
    added = turns.over("plain").times(PLAIN / STEPS).shifted(-1.0)
    of_gemm = turns.over(GEMM).inverse().times(flops * STEPS / SQUARE_FLOPS)
    size = sum(p.numel() for p in loops.task.model.parameters())
    per_turn = loops.tokens / len(turns.subject)
    seconds = turns.seconds() / STEPS
    figures.say("Cognate", f"float32, {place.words()}")
    figures.add(
        "Cognate",
        f"training step, {batch} rows of 64",
        f"{seconds * 1e3:.1f} ms, {per_turn / turns.seconds():,.0f} scored tokens/s",
        f"{added.words(signed)} on the plain loop",
        f"{size:,} parameters, smoke profile of cognate_phase1, a window's probes included; {flops / 1e6:,.0f} MFLOP, "
        f"the optimizer's products included: {percent(of_gemm.median)} of GEMM",
    )
    if batch == GOAL_BATCH:
        met = added.median <= GOAL
        figures.target(f"language trainer over the plain loop: <= +{GOAL:.0%}", signed(added.median), met)
    comparable(
        benchmark,
        turns.over(GEMM).times(1 / STEPS),
        calibration=GEMM,
        place=place,
        batch=batch,
        samples_per_s=per_turn / turns.seconds(),
        added=added.median,
        flops=flops,
    )


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
def test_gradients_of_the_seeds_model(benchmark: Any, place: Place, figures: Figures) -> None:
    if not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full: a pass takes seconds")
    torch.manual_seed(0)
    model = Cognate(VOCABULARY).to(place.device).train()
    tokens = torch.randint(VOCABULARY, (1, LENGTH), device=place.device)
    loss = {"ce": 1.0, "ponder": 0.01, "halting_calibration": 0.1}

    def gradients() -> None:
        model.zero_grad(set_to_none=True)
        weighted_total(language_terms(model, model(tokens), tokens, loss)).backward()  # type: ignore[no-untyped-call]

    memory = PeakMemory(place.device)
    memory.start()
    flops = counted(gradients)
    peak = memory.peak()
    turns = take_turns(benchmark, gradients, {GEMM: gemm(place.device)}, rounds=3, warm=False)
    of_gemm = turns.over(GEMM).inverse().times(flops / SQUARE_FLOPS)
    figures.add(
        "Cognate",
        f"gradients, 25.6M, 1 row of {LENGTH}",
        f"{turns.seconds():.2f} s, {LENGTH / turns.seconds():,.0f} tokens/s",
        f"{of_gemm.words(percent)} of GEMM",
        f"forward and backward, {VOCABULARY:,} words, {flops / 1e9:,.0f} GFLOP"
        + ("" if peak is None else f"; {peak / 2**20:,.0f} MiB above the weights at the peak"),
    )
    comparable(
        benchmark,
        turns.over(GEMM),
        calibration=GEMM,
        place=place,
        batch=1,
        samples_per_s=LENGTH / turns.seconds(),
        flops=flops,
    )
