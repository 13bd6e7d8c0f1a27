"""The language trainer against the loop that anybody would write over the same model, data and optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest
import torch

from lvmcheck.recorder import Recorder, record
from lvmcheck.suite import load_suite
from models.cognate.objective import language_terms
from models.data.text.batches import TokenBatch
from models.losses import weighted_total
from models.trainers import language
from models.trainers.language_config import parse
from models.trainers.language_learner import Learner
from models.trainers.progress import Progress
from models.trainers.session import reproducible
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, signed
from suites.throughput.interleave import clock, take_turns

SUITE = Path(__file__).parents[1] / "cognate_phase1" / "reasoning" / "suite.toml"
STEPS = 25  # of a turn: the window of the suite, so that every turn pays for one set of probes
GOAL = 0.10


@dataclass
class Loops:
    """One model and one optimizer, stepped by whichever loop is measured."""

    learner: Learner
    recorder: Recorder
    progress: Progress
    batches: Iterator[TokenBatch]
    tokens: int = 0

    @classmethod
    def make(cls, folder: Path) -> Loops:
        """The smoke run of the suite, from its beginning."""
        cfg = parse({**load_suite(SUITE, profile="smoke").config, "device": "cpu", "threads": 1})
        learner = Learner.make(cfg)
        stage = learner.stages[-1]
        epochs = (stage.batches(cfg.batch_size, seed=cfg.seed, epoch=epoch) for epoch in count(1))
        learner.model.train()
        whole = (batch for batch in chain.from_iterable(epochs) if len(batch.tokens) == cfg.batch_size)
        return cls(learner, record(folder / "run", window=cfg.window), learner.start(), whole)

    def plain(self) -> None:
        """Batch, loss, gradients, clipping, optimizer: no schedule, no metric, nothing recorded."""
        learner = self.learner
        parameters = list(learner.model.parameters())
        for _ in range(STEPS):
            batch = next(self.batches)
            output = learner.model(batch.tokens, segments=batch.segments)
            loss = weighted_total(language_terms(learner.model, output, batch.targets, learner.cfg.loss))  # type: ignore[arg-type]
            learner.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, learner.cfg.clip_norm)
            learner.optimizer.step()

    def trainer(self) -> None:
        """The trainer's loop: schedule, metrics, average, probes at the end of a window, recorder, the look at stop."""
        for _ in range(STEPS):
            batch = next(self.batches)
            language.step(self.learner, self.progress, self.recorder, [batch])
            self.tokens += batch.scored
            if self.recorder.stop:
                raise RuntimeError("nobody asked this run to stop")


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.benchmark(timer=clock)
def test_language_rate(benchmark: Any, figures: Figures, tmp_path: Path) -> None:
    with reproducible(0, threads=1):
        loops = Loops.make(tmp_path)
        turns = take_turns(benchmark, loops.trainer, {"plain": loops.plain}, rounds=12 if FULL else 3)
    added = turns.over("plain").shifted(-1.0)
    size = sum(p.numel() for p in loops.learner.model.parameters())
    per_turn = loops.tokens / (len(turns.subject) + 1)
    figures.add(
        "language trainer over the plain loop",
        f"{turns.seconds() / STEPS * 1e3:.1f} ms a step, {per_turn / turns.seconds():,.0f} scored tokens/s",
        target=f"<= +{GOAL:.0%}",
        met=added.median <= GOAL,
        ratio=added.words(signed),
        note=f"Cognate of {size:,} parameters, smoke profile of cognate_phase1; probes of a window included",
    )
    benchmark.extra_info.update(device="cpu", threads=1, tokens_per_s=per_turn / turns.seconds(), added=added.median)
