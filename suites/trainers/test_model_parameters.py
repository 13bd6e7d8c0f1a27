"""What the vector trainer gives to models and says about them, for every kind unchanged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from lvmcheck.run.info import make_run
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.view import Run
from models import registry
from models.trainers.vector import model_params, train
from suites.models.family import FAMILY, small_options

torch.set_num_threads(1)


def trained(folder: Path, kind: str, what: str) -> Run:
    """Two short epochs through the whole trainer: two loss terms, checkpoints, reload."""
    config = {
        "model": {"kind": kind, **small_options(kind, what)},
        "data": {"source": "twin", "dim": 64, "sequences": 96, "val_sequences": 40, "ood_sequences": 20},
        "loss": {"mse": 1.0, "info_nce": 0.01},
        "epochs": 2,
        "lr": 5e-3,
        "device": "cpu",
        "window": 3,
    }
    make_run(folder, {"config": config, "seed": 0})
    with Recorder(folder, window=3) as rec:
        rec.begin()
        train(config, rec)
    return load(folder)


@pytest.mark.parametrize(("kind", "what"), FAMILY)
def test_the_trainer_trains_every_model(kind: str, what: str, tmp_path: Path) -> None:
    done = trained(tmp_path / "run", kind, what)
    epochs = [event for event in done.events if isinstance(event, ev.Epoch)]
    assert len(epochs) == 2
    assert all(math.isfinite(value) for event in epochs for value in event.metrics.values())
    assert epochs[0].metrics["train_eval_cosine"] != epochs[1].metrics["train_eval_cosine"]
    reloads = [event.metrics for event in done.events if isinstance(event, ev.Evaluation) and event.name == "reload"]
    assert len(reloads) == 2, "best and last"
    assert all(again["val_cosine"] == pytest.approx(again["recorded_val_cosine"], abs=1e-6) for again in reloads)
    said = [event.text for event in done.events if isinstance(event, ev.Note)]
    model = registry.build(kind, input_dim=64, **small_options(kind, what))
    assert set(getattr(model, "notes", ())) <= set(said)


def test_width_and_context_come_from_the_data() -> None:
    assert model_params({"kind": "amn"}, 64, 7) == {"input_dim": 64}
    assert model_params({"kind": "linear_mixture", "context": 7}, 64, 7) == {"input_dim": 64, "context": 7}
    assert model_params({"kind": "linear_mixture"}, 64, 7) == {"input_dim": 64, "context": 7}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("input_dim", "expected the width of the data, 64, got 3"),
        ("context", "expected the context length of the data, 7, got 3"),
    ],
)
def test_another_width_or_context_is_refused(name: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        model_params({"kind": "linear_mixture", name: 3}, 64, 7)
    assert str(caught.value) == f"trainer vector: run.model.{name}: {problem}."
