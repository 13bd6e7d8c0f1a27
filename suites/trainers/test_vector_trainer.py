"""The vector trainer on a tiny twin: it learns, continues to the bit, stops when asked, and hides nothing."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.directory import cut_to_checkpoint, load
from lvmcheck.run.info import make_run
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.view import Run
from models.checkpoints.checkpoint import publish, published
from models.checkpoints.load import load_model, read
from models.checkpoints.state import TrainingState
from models.lvm.amn import AMN
from models.trainers.loop import train_epoch
from models.trainers.vector import VectorTask
from models.trainers.vector_config import METRICS, parse
from suites.trainers.vector_kit import MIXED, STEPS, TINY, curves, final_tensors, of, run, stop_after

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("healthy") / "run", {**TINY, "epochs": 12})


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("mixed") / "run", MIXED)


# -- it trains, and reports what it does -------------------------------------------------------------------------------
def test_it_learns(healthy: Run) -> None:
    metrics = [event.metrics for event in of(healthy, ev.Epoch)]
    assert len(metrics) == 12
    assert metrics[0]["val_cosine"] < 0.3
    assert metrics[-1]["val_cosine"] > 0.48, "the constant mean scores 0.47 here"
    assert metrics[-1]["train_loss"] < 0.2 * metrics[0]["train_loss"]
    assert abs(metrics[-1]["train_eval_cosine"] - metrics[-1]["val_cosine"]) < 0.1


def test_every_declared_metric_is_logged_each_epoch_and_no_other(healthy: Run, mixed: Run) -> None:
    for done in (healthy, mixed):
        declared = set(of(done, ev.Declare)[0].metrics)
        assert declared <= set(METRICS)
        assert all(set(event.metrics) == declared for event in of(done, ev.Epoch))


def test_validation_loss_is_that_of_unit_predictions(healthy: Run) -> None:
    for event in of(healthy, ev.Epoch):
        for split in ("val", "train_eval"):
            identity = 2 * (1 - event.metrics[f"{split}_cosine"]) / 64
            assert event.metrics[f"{split}_loss"] == pytest.approx(identity, abs=1e-8)


def test_steps_samples_and_short_last_batch(healthy: Run) -> None:
    windows = of(healthy, ev.Window)
    assert windows[-1].last_step == 12 * STEPS
    assert sum(window.samples for window in windows) == 12 * 300
    assert all(event.samples_per_second > 0 for event in of(healthy, ev.Epoch))


def test_the_ledger_balances_and_absent_terms_are_absent(mixed: Run) -> None:
    for window in of(mixed, ev.Window):
        assert {name: term.weight for name, term in window.terms.items()} == {
            "mse": 0.5,
            "info_nce": 0.25,
            "variance": pytest.approx(0.001),
        }
        assert window.ledger_error < 1e-6
    for event in of(mixed, ev.Epoch):
        parts = {name: event.metrics[f"train_loss_{name}"] for name in ("mse", "info_nce", "variance")}
        total = 0.5 * parts["mse"] + 0.25 * parts["info_nce"] + 0.001 * parts["variance"]
        assert event.metrics["train_loss"] == pytest.approx(total, rel=1e-6)
        assert "train_loss_moment" not in event.metrics


def test_gradient_norms_of_the_terms_are_probed(healthy: Run, mixed: Run) -> None:
    assert "term_grad_norm" not in {probe.name for probe in of(healthy, ev.Probe)}, "one term has nothing beside it"
    probes = [probe for probe in of(mixed, ev.Probe) if probe.name == "term_grad_norm"]
    assert [probe.step for probe in probes] == [1, 7, 14, 21, 28]
    assert all(set(probe.values) == {"mse", "info_nce", "variance"} for probe in probes)
    assert probes[-1].values["info_nce"] > probes[-1].values["mse"], "how attempt 2 began"


def test_the_cosine_schedule_warms_up_and_ends_at_its_minimum(mixed: Run) -> None:
    assert of(mixed, ev.Window)[0].lr == pytest.approx(2e-3)
    assert of(mixed, ev.Epoch)[-1].metrics["lr"] == pytest.approx(1e-5)


def test_the_trivial_predictor_is_measured_on_the_same_windows(healthy: Run) -> None:
    facts = of(healthy, ev.Data)[0].facts
    last = of(healthy, ev.Epoch)[-1].metrics
    assert last["val_cosine"] - last["val_margin_over_mean_of_context"] == pytest.approx(
        facts["mean_of_context"], abs=1e-5
    )
    assert last["val_target_mean_direction"] > 0.3


def test_the_export_has_the_original_projects_keys(healthy: Run, mixed: Run) -> None:
    assert healthy.path is not None
    assert mixed.path is not None
    body = json.loads((healthy.path / "training_history.json").read_text(encoding="utf-8"))
    assert list(body) == ["model_type", "model_name", "history", "best_val_loss", "final_params", "trained_at"]
    assert list(body["history"][0]) == [
        "epoch",
        "train_loss",
        "train_cosine",
        "train_loss_mse",
        "val_loss",
        "val_cosine",
        "lr",
    ]
    assert body["best_val_loss"] == min(row["val_loss"] for row in body["history"])
    other = json.loads((mixed.path / "training_history.json").read_text(encoding="utf-8"))
    assert {"train_loss_info", "train_loss_variance"} <= set(other["history"][0])
    assert "train_loss_moment" not in other["history"][0]
    recorded = Path(__file__).parents[3] / "shared/data/histories/models__amn_584k_pure_mse_20251029_055838.json"
    if recorded.exists():
        theirs = json.loads(recorded.read_text(encoding="utf-8"))
        assert list(theirs) == list(body)
        assert set(theirs["history"][0]) - set(body["history"][0]) == {"train_loss_info"}


def test_a_checkpoint_loaded_afresh_agrees(healthy: Run) -> None:
    again = {event.about: event.metrics for event in of(healthy, ev.Evaluation) if event.name == "reload"}
    assert len(again) == 2
    for metrics in again.values():
        assert metrics["val_cosine"] == metrics["recorded_val_cosine"]
        assert metrics["val_loss"] == metrics["recorded_val_loss"]
    best = min(of(healthy, ev.Epoch), key=lambda event: event.metrics["val_loss"])
    assert again["checkpoint best"]["epoch"] == best.epoch


def test_checkpoints_are_announced_where_they_are(healthy: Run) -> None:
    assert healthy.path is not None
    said = of(healthy, ev.Checkpoint)
    assert [event.epoch for event in said if event.name == "last"] == list(range(1, 13))
    model, checkpoint = load_model(healthy.path / said[-1].path)
    assert checkpoint.about.step == 12 * STEPS
    assert sum(p.numel() for p in model.parameters()) == of(healthy, ev.Model)[0].parameters


def test_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    try:
        run(tmp_path / "run", {**TINY, "epochs": 1})
        assert torch.get_num_threads() == 2
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(1)


# -- repeated, stopped, continued --------------------------------------------------------------------------------------
def test_the_same_seed_repeats_to_the_bit_and_another_does_not(mixed: Run, tmp_path: Path) -> None:
    torch.rand(7)  # what was drawn before must not matter
    assert curves(run(tmp_path / "same", MIXED)) == curves(mixed)
    assert curves(run(tmp_path / "other", {**MIXED, "seed": 1, "epochs": 1})) != curves(mixed)[:1]


@pytest.mark.parametrize(
    ("config", "step"),
    [(MIXED, 4), (MIXED, 16), (MIXED, 20), (MIXED, 28), (MIXED, 30)],
    ids=["first epoch", "inside an epoch", "end of an epoch", "last epoch", "last step"],
)
def test_a_stopped_run_continues_to_the_bit(mixed: Run, tmp_path: Path, config: dict[str, Any], step: int) -> None:
    folder = tmp_path / "run"
    stopped = run(folder, config, judge=stop_after(step))
    assert [event.step for event in of(stopped, ev.Stop)] == [step], "the step is the one after which it was asked"
    assert stopped.done is not None
    assert stopped.done["status"] == "stopped"
    assert stopped.done["steps"] == step, "not one step more"
    assert [event.name for event in of(stopped, ev.Evaluation)] == ["optimizer_coverage"]
    checkpoint = cut_to_checkpoint(folder)
    assert checkpoint is not None
    torch.rand(3)  # another process, another random state
    continued = run(folder, config, resume=checkpoint)
    assert curves(continued) == curves(mixed)
    assert mixed.path is not None
    one, other = final_tensors(folder), final_tensors(mixed.path)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    histories = [json.loads((place / "training_history.json").read_text()) for place in (folder, mixed.path)]
    assert histories[0]["history"] == histories[1]["history"]
    assert len(of(continued, ev.Data)) == 1
    ends = ["optimizer_coverage", "optimizer_coverage", "reload", "reload", "sweep", "sweep"]
    assert [event.name for event in of(continued, ev.Evaluation)] == ends


def test_the_plateau_continues_to_the_bit(tmp_path: Path) -> None:
    config = {**TINY, "lr": 1e-7, "epochs": 7}  # too slow to improve by 0.01 % an epoch, so that the rate is halved
    whole = run(tmp_path / "whole", config)
    assert [event.metrics["lr"] for event in of(whole, ev.Epoch)] == [1e-7] * 5 + [0.5e-7] * 2
    run(tmp_path / "parts", config, judge=stop_after(3 * STEPS))
    checkpoint = cut_to_checkpoint(tmp_path / "parts")
    assert curves(run(tmp_path / "parts", config, resume=checkpoint)) == curves(whole)


def test_a_finished_run_that_is_continued_only_reloads(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = run(folder, {**TINY, "epochs": 1})
    again = run(folder, {**TINY, "epochs": 1}, resume=cut_to_checkpoint(folder))
    assert curves(again) == curves(first)
    assert [event.metrics for event in of(again, ev.Evaluation)] == [e.metrics for e in of(first, ev.Evaluation)]


def test_a_checkpoint_of_another_run_is_refused(mixed: Run, tmp_path: Path) -> None:
    assert mixed.path is not None
    folder = tmp_path / "run"
    shutil.copytree(mixed.path, folder)

    def refusal(config: dict[str, Any], resume: Path | None = None) -> str:
        last = cut_to_checkpoint(folder)
        with pytest.raises(InputError) as caught:
            run(folder, config, resume=resume or last)
        return str(caught.value)

    assert "config: belongs to another run: lr 0.002 there, 0.001 here" in refusal({**MIXED, "lr": 1e-3})
    best = published(folder / "checkpoints", "best")[-1]
    assert "expected a checkpoint with training state, got weights alone" in refusal(MIXED, best)
    for path in published(folder / "checkpoints", "last"):
        (path / "state.json").write_bytes(b"{}")
    assert "bytes, got 2: changed or cut off" in refusal(MIXED)


@pytest.mark.parametrize("part", ["progress", "optimizer", "schedule", "random", "environment"])
def test_a_checkpoint_that_lacks_a_part_is_never_continued(mixed: Run, tmp_path: Path, part: str) -> None:
    assert mixed.path is not None
    whole = read(published(mixed.path / "checkpoints", "last")[-1])
    assert whole.state is not None
    kept = {name: value for name, value in whole.state.values.items() if name != part}
    path = publish(tmp_path / "less", replace(whole, state=TrainingState(whole.state.tensors, kept)))
    shutil.copytree(mixed.path, tmp_path / "run")
    cut_to_checkpoint(tmp_path / "run")
    with pytest.raises(InputError, match=f"expected the training state '{part}', got none"):
        run(tmp_path / "run", MIXED, resume=path)


def test_data_that_changed_since_are_refused(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place = tmp_path / "vectors.npy"
    np.save(place, vectors)
    config = {**TINY, "data": {"source": "path", "path": str(place)}, "epochs": 1}
    run(tmp_path / "run", config)
    np.save(place, vectors[::-1].copy())
    with pytest.raises(InputError, match=r"data: was trained on other data: [0-9a-f]{12} there, [0-9a-f]{12} here"):
        run(tmp_path / "run", config, resume=cut_to_checkpoint(tmp_path / "run"))


@pytest.mark.parametrize("config", [TINY, {**MIXED, "clip_norm": 0.02}], ids=["mse", "mixed, clipped"])
def test_passes_by_hand_train_what_autograd_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    assert VectorTask.make(parse(config)).manual is not None
    manual = run(tmp_path / "hand", config)
    monkeypatch.setattr(AMN, "manual_backward", lambda *_: None)
    by_autograd = run(tmp_path / "autograd", config)
    for ours, other in zip(of(manual, ev.Window), of(by_autograd, ev.Window), strict=True):
        assert ours.grad_norm_mean == pytest.approx(other.grad_norm_mean, rel=1e-3)
    for ours, other in zip(of(manual, ev.Epoch), of(by_autograd, ev.Epoch), strict=True):
        assert ours.metrics == pytest.approx(other.metrics, rel=1e-3, abs=1e-6)


def test_training_is_in_train_mode_whatever_was_done_before(tmp_path: Path) -> None:
    task = VectorTask.make(parse(TINY))
    task.model.eval()
    make_run(tmp_path / "run", {})
    with Recorder(tmp_path / "run") as rec:
        rec.begin()
        train_epoch(task, rec)
    assert all(module.training for module in task.model.modules())


def test_gradients_are_clipped_to_the_config_and_reported_before(tmp_path: Path) -> None:
    """Adam undoes any scale down to its epsilon, 1e-8: only below it does clipping hold the weights still."""
    still = run(tmp_path / "still", {**TINY, "clip_norm": 1e-14, "weight_decay": 0.0, "epochs": 2})
    first, second = (event.metrics["val_loss"] for event in of(still, ev.Epoch))
    assert second == pytest.approx(first, rel=1e-4)
    assert all(window.grad_norm_mean > 0.01 for window in of(still, ev.Window))
    moving = run(tmp_path / "moving", {**TINY, "clip_norm": 0.0, "weight_decay": 0.0, "epochs": 2})
    first, second = (event.metrics["val_loss"] for event in of(moving, ev.Epoch))
    assert second < 0.99 * first


# -- what goes wrong is seen -------------------------------------------------------------------------------------------
def test_a_loss_that_is_not_finite_is_seen_and_never_saved(tmp_path: Path) -> None:
    done = run(tmp_path / "run", {**TINY, "lr": 1e38, "schedule": "constant", "epochs": 2})
    first = next(window for window in of(done, ev.Window) if window.non_finite)
    assert first.non_finite["step"] == 2, "the first step after the weights were blown up"
    assert not math.isfinite(first.loss_mean)
    assert any(
        window.grad_norm_mean is not None and math.isnan(window.grad_norm_mean) for window in of(done, ev.Window)
    )
    assert all(math.isnan(event.metrics["val_loss"]) for event in of(done, ev.Epoch))
    assert of(done, ev.Checkpoint) == []
    said = [event for event in of(done, ev.Evaluation) if event.name != "optimizer_coverage"]
    assert {event.name for event in said} == {"sweep"}, "nothing was saved, so nothing was loaded and nothing agrees"
    assert all(math.isnan(event.metrics["offset_0"]) for event in said)
    said = [event.text for event in of(done, ev.Note) if "not written" in event.text]
    assert said[0].startswith("checkpoint last not written at step 10: ")
    assert "values are not finite" in said[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batch_size": 301}, "run.batch_size: expected at least a batch of 301 training windows, got 300"),
        ({"batch_size": 23, "loss": {"moment": 1.0}}, "leave a batch of one, and moment needs two rows"),
        (
            {"model": {"kind": "amn", "input_dim": 65}},
            "run.model.input_dim: expected the width of the data, 64, got 65",
        ),
        ({"losses": {}}, "losses: unknown key. Did you mean 'loss'?"),
    ],
)
def test_mistakes_end_the_run_before_the_first_step(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path / "run", {**TINY, **change})
    assert says in str(caught.value)
    assert of(load(tmp_path / "run"), ev.Window) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.device: no device 'cuda' here; there is: cpu"):
        run(tmp_path / "run", {**TINY, "device": "cuda"})
