"""The neighbour sweep: an oracle passes it, each way of being wrong fails it, and it measures what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lvmcheck.checks.finding import Status
from lvmcheck.checks.model.neighbour_sweep import NeighbourSweep
from lvmcheck.checks.protocol import judge
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from
from models.data.dataset import open_data
from models.data.store import Corpus, Windows
from models.trainers.evaluation import mean_of_context
from models.trainers.sweep import FEWEST, following, sweep

torch.set_num_threads(1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def validation() -> Windows:
    config = {"source": "twin", "dim": 64, "sequences": 200, "val_sequences": 400, "ood_sequences": 0}
    return open_data(config, seed=0).validation


class Oracle:
    """Knows every target: predicts what follows the context, times ``sign``."""

    def __init__(self, windows: Windows, sign: float = 1.0) -> None:
        context, target = windows.batch(slice(0, len(windows)))
        self.known = {x.tobytes(): y for x, y in zip(context[:, -1].copy(), target.copy(), strict=True)}
        self.sign = sign

    def __call__(self, context: Tensor) -> Tensor:
        found = [self.known[row.tobytes()] for row in context[:, -1].numpy().copy()]
        return self.sign * torch.from_numpy(np.stack(found))


def swept(metrics: dict[str, float]) -> Run:
    return run_from({"val_cosine": [0.5]}).extended([ev.Evaluation(name="sweep", metrics=metrics, about="validation")])


def original_gate(metrics: dict[str, float]) -> float:
    """Margin of gate A of the original project's alignment test: offset +1 against the best other offset (history
    7)."""
    others = [value for name, value in metrics.items() if name.startswith("offset_") and name != "offset_1"]
    return metrics["offset_1"] - max(others)


def test_a_perfect_oracle_passes_and_the_original_projects_gate_refuses_it(validation: Windows) -> None:
    metrics = sweep(Oracle(validation), validation, batch_size=64, device=CPU)
    assert metrics["offset_0"] == pytest.approx(1.0, abs=1e-6)
    assert judge(NeighbourSweep(), swept(metrics)).status is Status.PASSED
    adjacent = metrics["offset_1"]
    assert original_gate(metrics) == pytest.approx(adjacent - 1.0), "lag 1 minus 1: no predictor can do better"
    assert original_gate(metrics) < -0.4, "their gate wanted +0.12"


def test_the_mean_of_the_context_passes_though_it_is_nearer_to_its_context(validation: Windows) -> None:
    metrics = sweep(mean_of_context, validation, batch_size=64, device=CPU)
    assert metrics["offset_-1"] > metrics["offset_0"]
    assert judge(NeighbourSweep(), swept(metrics)).status is Status.PASSED


def test_each_way_of_being_wrong_is_told_from_the_others(validation: Windows) -> None:
    rotation = torch.linalg.qr(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)))[0]
    constant = torch.from_numpy(validation.batch(slice(0, 400))[1].copy()).mean(dim=0)
    ways = {"flat": lambda context: mean_of_context(context) @ rotation, "sign flip": Oracle(validation, sign=-1.0)}
    for said, predict in ways.items():
        outcome = judge(NeighbourSweep(), swept(sweep(predict, validation, batch_size=64, device=CPU)))
        assert outcome.status is Status.FAILED
        assert outcome.finding is not None
        pattern = outcome.finding.fact("pattern")
        assert pattern is not None
        assert pattern.value == said
    collapsed = sweep(lambda context: constant.expand(len(context), -1), validation, batch_size=64, device=CPU)
    assert collapsed["offset_0"] > 0.4, "as good a mean cosine as a constant has"
    assert collapsed["self_similarity"] == pytest.approx(1.0)
    assert judge(NeighbourSweep(), swept(collapsed)).status is Status.FAILED


def test_targets_shifted_by_one_are_seen(validation: Windows) -> None:
    """A predictor that was trained on the chunk after the target it is asked for."""
    after = following(validation)[:, 0]
    inside = validation.select(np.asarray(after >= 0))
    context = inside.batch(slice(0, len(inside)))[0][:, -1].copy()
    next_one = inside.corpus.vectors[after[after >= 0]]
    known = {x.tobytes(): y for x, y in zip(context, next_one, strict=True)}

    def predict(x: Tensor) -> Tensor:
        return torch.from_numpy(np.stack([known[row.tobytes()] for row in x[:, -1].numpy().copy()]))

    metrics = sweep(predict, inside, batch_size=64, device=CPU)
    outcome = judge(NeighbourSweep(), swept(metrics))
    assert outcome.status is Status.FAILED
    assert outcome.finding is not None
    assert outcome.finding.code == "above_following"


def test_figures_are_those_of_plain_loops(validation: Windows) -> None:
    metrics = sweep(mean_of_context, validation, batch_size=64, device=CPU)
    whole = validation.select(np.asarray((following(validation) >= 0).all(axis=1)))
    context, target = (part.astype(np.float64) for part in whole.batch(slice(0, len(whole))))
    p = context.mean(axis=1)
    p /= np.linalg.norm(p, axis=1, keepdims=True)
    pairs = p @ target.T
    apart = ~np.eye(len(whole), dtype=bool)
    assert metrics["samples"] == len(whole)
    assert metrics["offset_0"] == pytest.approx(float(np.diag(pairs).mean()), abs=1e-6)
    assert metrics["unrelated"] == pytest.approx(float(pairs[apart].mean()), abs=1e-6)
    assert metrics["self_similarity"] == pytest.approx(float((p @ p.T)[apart].mean()), abs=1e-6)
    assert metrics["target_self_similarity"] == pytest.approx(float((target @ target.T)[apart].mean()), abs=1e-6)
    rows = whole.rows()[:, -1]
    third = whole.corpus.vectors[rows + 3].astype(np.float64)
    assert metrics["offset_3"] == pytest.approx(float((p * third).sum(axis=1).mean()), abs=1e-6)
    second = whole.corpus.vectors[rows - 2].astype(np.float64)
    assert metrics["offset_-2"] == pytest.approx(float((p * second).sum(axis=1).mean()), abs=1e-6)


def test_nothing_after_the_target_is_measured_across_articles_or_out_of_order() -> None:
    vectors = np.eye(24, dtype=np.float32)
    corpus = Corpus("two", vectors, np.repeat(np.arange(2, dtype=np.int32), 12))
    windows = corpus.windows(5)
    after = following(windows)
    assert after[0].tolist() == [6, 7, 8]
    assert after[6].tolist() == [-1, -1, -1], "the article ends with this target"
    assert after[5].tolist() == [11, -1, -1]
    shuffled = Windows(corpus, 5, index=windows.rows()[:, ::-1].copy())
    assert (following(shuffled) == -1).all()
    assert len(windows) < FEWEST
    assert "offset_1" not in sweep(mean_of_context, windows, batch_size=8, device=CPU)
    assert sweep(mean_of_context, windows.select(np.array([0])), batch_size=8, device=CPU) == {}
