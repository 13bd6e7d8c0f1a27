"""The language trainer on tiny text: it learns, continues to the bit, stops when asked, and hides nothing."""

from __future__ import annotations

import copy
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.directory import cut_to_checkpoint
from lvmcheck.run.start import record
from lvmcheck.run.view import Run
from models.checkpoints.load import load_model
from models.checkpoints.predictor import Predictor
from models.data.text.batches import TokenBatch
from models.runtime.session import reported_only, reproducible
from models.trainers import loop
from models.trainers.language import LanguageTask, micro_batches
from models.trainers.language_config import METRICS, parse
from suites.trainers.language_kit import TINY, curves, evaluations, probes, run, said
from suites.trainers.vector_kit import final_tensors, of, stop_after

torch.set_num_threads(1)


def changed(**more: Any) -> dict[str, Any]:
    """TINY with some keys replaced; tables are merged."""
    config = copy.deepcopy(TINY)
    for key, value in more.items():
        config[key] = (
            {**config[key], **value} if isinstance(value, dict) and isinstance(config.get(key), dict) else value
        )
    return config


FULL = changed(ema=0.9, accumulation=2, model={"dropout": 0.1})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("whole") / "run", FULL)


# -- it trains, and reports what it does -------------------------------------------------------------------------------
def test_it_learns_and_logs_exactly_what_it_declared(whole: Run) -> None:
    epochs = of(whole, ev.Epoch)
    declared = set(of(whole, ev.Declare)[0].metrics)
    assert len(epochs) == 3
    assert declared <= set(METRICS)
    assert all(set(event.metrics) == declared for event in epochs)
    assert epochs[0].metrics["val_loss"] < math.log(320)
    losses = [event.metrics["val_loss"] for event in epochs]
    assert losses[2] < losses[1] < losses[0]


def test_metrics_belong_together(whole: Run) -> None:
    facts = of(whole, ev.Data)[0].facts
    for event in of(whole, ev.Epoch):
        found = event.metrics
        assert found["val_perplexity"] == pytest.approx(math.exp(found["val_loss"]))
        assert found["val_bits_per_byte"] == pytest.approx(found["val_loss"] / math.log(2) / facts["bytes_per_token"])
        assert found["exact_match_questions"] == 6
        assert 0 <= found["exact_match"] <= 1
        assert found["tokens_per_second"] > 0


def test_halting_is_told_per_token_with_shares_that_sum_to_one(whole: Run) -> None:
    facts, found = of(whole, ev.Data)[0].facts, probes(whole, "halting")
    assert len(found) == 3
    for values, event in zip(found, of(whole, ev.Epoch), strict=True):
        shares = [values[f"share_{k}"] for k in (1, 2, 3)]
        assert sum(shares) == pytest.approx(1)
        assert values["mean"] == pytest.approx(sum(k * share for k, share in enumerate(shares, 1)))
        assert values["mean"] == event.metrics["halting_mean"]
        assert values["tokens"] == facts["val_tokens"]
        assert values["max"] == 3


def test_generations_are_measured_beside_the_corpus_and_shown(whole: Run) -> None:
    for values in probes(whole, "generations"):
        assert values["greedy/prompts"] == values["sampled/prompts"] == 6
        assert values["reference/identical_share"] == 0
        assert values["reference/entropy"] > 1
    for epoch in (1, 2, 3):
        samples = [event for event in of(whole, ev.Sample) if event.epoch == epoch]
        assert {event.name for event in samples} == {"greedy", "sampled"}
        assert sum(event.dataset == "seed" for event in samples) == 2 * 3
        assert all(event.prompt.endswith("A:") and event.answer for event in samples)


def test_stages_are_announced_where_they_begin(whole: Run) -> None:
    stages, epochs = of(whole, ev.Stage), of(whole, ev.Epoch)
    assert [(stage.index, stage.name, stage.epoch) for stage in stages] == [(0, "sums", 1), (1, "all", 2)]
    assert [stage.step for stage in stages] == [0, epochs[0].step]
    assert [set(stage.records) for stage in stages] == [{"arithmetic"}, {"arithmetic", "recall"}]
    assert stages[0].fingerprint != stages[1].fingerprint


def test_the_ledger_balances_over_micro_batches_and_tokens_are_counted_once(whole: Run) -> None:
    windows = of(whole, ev.Window)
    assert all(window.ledger_error < 1e-6 for window in windows)
    assert all(set(window.terms) == set(FULL["loss"]) for window in windows)
    facts = [stage.facts["scored_tokens"] for stage in of(whole, ev.Stage)]
    assert sum(window.samples for window in windows) == facts[0] + 2 * facts[1]


def test_components_sum_to_the_parameters(whole: Run) -> None:
    event = of(whole, ev.Model)[0]
    assert sum(event.components.values()) == event.parameters


def test_rates_are_measured_as_planned(whole: Run) -> None:
    found = probes(whole, "learning_rates")
    assert len(found) >= 2
    for values in found:
        for group in ("hidden", "embedding", "scalar"):
            assert values[f"{group}/lr"] == values[f"{group}/planned_lr"]
            assert values[f"{group}/update_rms"] > 0 or values[f"{group}/lr"] == 0
        assert values["hidden/lr"] == pytest.approx(values["embedding/lr"] * 1e-2 / 3e-3)


def test_every_parameter_is_held_at_the_start_and_at_the_end(whole: Run) -> None:
    found = evaluations(whole, "optimizer_coverage")
    assert len(found) == 2
    assert all(set(values.values()) == {0.0} for values in found)


def test_structure_is_proved_before_and_after(whole: Run) -> None:
    for name in ("causality", "purity", "batch_invariance"):
        assert len(evaluations(whole, name)) == 2
    for found in evaluations(whole, "causality"):
        assert found["max_change_before"] < 1e-6 < 1e-3 < found["change_after"]
    for found in evaluations(whole, "purity"):
        assert found == {"repeat_difference": 0, "order_difference": 0, "state_changed": 0}
    for found in evaluations(whole, "batch_invariance"):
        assert found["max_difference"] < 1e-5
    gradients, terms = evaluations(whole, "gradients")[0], evaluations(whole, "term_gradients")[0]
    assert all(value > 0 for value in gradients.values())
    assert set(terms) == set(FULL["loss"])
    assert terms["ponder"] > 0


def test_averaged_weights_are_validated_saved_and_reloaded(whole: Run) -> None:
    for found in evaluations(whole, "reload"):
        assert found["val_loss"] == found["recorded_val_loss"]
    assert whole.path is not None
    last = of(whole, ev.Checkpoint)[-1]
    model, _ = load_model(whole.path / last.path)
    state = final_tensors(whole.path)
    raw = {key.removeprefix("ema:"): tensor for key, tensor in state.items() if key.startswith("ema:")}
    saved = dict(model.named_parameters())
    assert set(raw) == set(saved)
    assert all(not torch.equal(raw[key], saved[key]) for key in raw), "the average is not the last step's weights"


# -- repeated, stopped, continued --------------------------------------------------------------------------------------
def test_the_same_seed_repeats_to_the_bit(whole: Run, tmp_path: Path) -> None:
    torch.rand(7)  # what was drawn before must not matter
    again = run(tmp_path / "run", FULL)
    assert curves(again) == curves(whole)
    assert said(again) == said(whole)


PLACES = ["end of a stage", "inside the second"]
if os.environ.get("LVM_RELIABILITY") == "full":
    PLACES += ["inside the first stage", "last step"]


@pytest.mark.parametrize("place", PLACES)
def test_a_stopped_run_continues_to_the_bit(whole: Run, tmp_path: Path, place: str) -> None:
    """Weights, averages, momenta, the filter's running mean, random states, and the position in the curriculum."""
    ends = [event.step for event in of(whole, ev.Epoch)]
    step = {"inside the first stage": 1, "end of a stage": ends[0], "inside the second": ends[0] + 1}.get(
        place, ends[-1]
    )
    folder = tmp_path / "run"
    config = {**FULL, "window": 1} if place.startswith("inside") else FULL
    reference = whole if config is FULL else run(tmp_path / "reference", config)
    stopped = run(folder, config, judge=stop_after(step))
    assert stopped.done is not None
    assert (stopped.done["status"], stopped.done["steps"]) == ("stopped", step)
    torch.rand(3)  # another process, another random state
    continued = run(folder, config, resume=cut_to_checkpoint(folder))
    assert curves(continued) == curves(reference)
    assert [stage.name for stage in of(continued, ev.Stage)] == ["sums", "all"]
    assert said(continued) == said(reference)
    assert reference.path is not None
    one, other = final_tensors(folder), final_tensors(reference.path)
    assert one.keys() == other.keys()
    assert any(key.startswith("ema:") for key in one)
    assert any(key.endswith("/average") for key in one), "the gradient filter's running mean"
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_language_model_predicts_no_vectors(whole: Run) -> None:
    assert whole.path is not None
    with pytest.raises(InputError, match="expected a model of vectors, got the language model 'cognate'"):
        Predictor.load(whole.path)


def test_a_checkpoint_of_another_run_is_refused(whole: Run) -> None:
    assert whole.path is not None
    last = whole.path / of(whole, ev.Checkpoint)[-1].path
    task = LanguageTask.make(parse({**FULL, "batch_size": 4}))
    with pytest.raises(InputError, match="config: belongs to another run: batch_size 8 there, 4 here"):
        task.state.resume(last)


# -- steps -------------------------------------------------------------------------------------------------------------
def gradient(task: LanguageTask, batch: list[TokenBatch]) -> dict[str, torch.Tensor]:
    task.model.zero_grad()
    scored = sum(part.scored for part in batch)
    for part in batch:
        task.loss(part).backward(part.scored / scored)
    return {name: p.grad.clone() for name, p in task.model.named_parameters() if p.grad is not None}


def split(batch: TokenBatch, sizes: list[int]) -> Iterator[TokenBatch]:
    for part in zip(*(torch.split(t, sizes) for t in (batch.tokens, batch.targets, batch.segments)), strict=True):
        yield TokenBatch(*part, scored=int((part[1] >= 0).sum()))


@pytest.mark.parametrize("sizes", [[1, 7], [4, 4], [3, 3, 2], [1] * 8])
def test_micro_batches_take_the_step_of_one_batch(sizes: list[int]) -> None:
    """Each counts by its scored tokens: unlike parts, and a left-over at the end of an epoch, are no exception."""
    config = changed(loss={"halting_diversity": 0.0, "halting_calibration": 0.0})
    task = LanguageTask.make(parse(config))
    task.model.double()
    batch = next(task.setup.stages[1].batches(8, seed=0, epoch=1))
    assert len({int((row >= 0).sum()) for row in batch.targets}) > 1, "rows of unlike numbers of scored tokens"
    one, parts = gradient(task, [batch]), gradient(task, list(split(batch, sizes)))
    assert all(torch.allclose(one[name], parts[name], rtol=1e-6, atol=1e-9) for name in one)


def test_left_over_micro_batches_are_stepped_in_their_own_epoch() -> None:
    batches = iter(list(range(5)))
    assert list(micro_batches(batches, 2)) == [[0, 1], [2, 3], [4]]  # type: ignore[arg-type, comparison-overlap]


def test_activation_checkpointing_changes_no_gradient() -> None:
    plain, sparing = (LanguageTask.make(parse(changed(seed=3, activation_checkpointing=on))) for on in (False, True))
    sparing.model.load_state_dict(plain.model.state_dict())
    batch = next(plain.setup.stages[1].batches(8, seed=0, epoch=1))
    one, other = gradient(plain, [batch]), gradient(sparing, [batch])
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_trainer_reads_no_number_between_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each would wait for the device. What the model reads to check its tokens is the model's own; clipping
    reads its norm on a CPU alone.
    """
    task = LanguageTask.make(parse(changed(window=50)))
    batches = list(task.setup.stages[1].batches(8, seed=0, epoch=1))[:3]
    recorder = record(tmp_path / "run", window=50, watch=False)
    loop.train_step(task, [batches[0]], recorder)
    reads: list[str] = []
    for name in ("item", "tolist", "__float__", "__int__", "__bool__", "numpy"):
        original = getattr(torch.Tensor, name)

        def spy(self: torch.Tensor, *args: Any, _name: str = name, _original: Any = original) -> Any:
            caller = sys._getframe(1).f_code
            reads.append(f"{_name} in {Path(caller.co_filename).parent.name}.{caller.co_name}")
            return _original(self, *args)

        monkeypatch.setattr(torch.Tensor, name, spy)
    loop.train_step(task, batches[1:], recorder)
    own = {where for where in reads if " in cognate." not in where}
    assert own <= {"__bool__ in optim._within"}
    assert float(torch.ones(())) == 1.0
    assert any(where.startswith("__float__ in trainers.test_") for where in reads), "the spies work"


def test_gradients_are_clipped_and_reported_before(tmp_path: Path) -> None:
    still = run(
        tmp_path / "still", changed(clip_norm=1e-12, optimizer={"kind": "adamw", "weight_decay": 0.0}, muon_lr=None)
    )
    first, *_, last = (event.metrics["val_loss"] for event in of(still, ev.Epoch))
    assert last == pytest.approx(first, rel=2e-2)
    assert all(window.grad_norm_mean > 0.01 for window in of(still, ev.Window))


def test_generating_may_use_what_is_not_deterministic_and_training_may_not() -> None:
    """CUDA has no deterministic cumulative sum of floats, which sampling needs."""
    with reproducible(0, threads=1):
        with reported_only():
            assert not torch.are_deterministic_algorithms_enabled()
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_mixed_precision_trains(tmp_path: Path) -> None:
    done = run(tmp_path / "run", changed(precision="bf16", epochs=1, curriculum=[]))
    found = of(done, ev.Epoch)[0].metrics
    assert 0 < found["val_loss"] < math.log(320)
    assert evaluations(done, "causality")[0]["max_change_before"] < 1e-6


def test_early_stopping_counts_epochs_without_improvement(tmp_path: Path) -> None:
    rule = {"patience": 1, "min_delta": 100.0}
    done = run(tmp_path / "run", changed(epochs=4, curriculum=[], early_stop=rule))
    assert len(of(done, ev.Epoch)) == 2, "the first epoch improves on nothing at all, the second not by 100 nats"
    assert any("stopped early after epoch 2 of 4" in early.reason for early in of(done, ev.Early))
    assert len(evaluations(done, "reload")) == 2


# -- what goes wrong is seen -------------------------------------------------------------------------------------------
def test_a_loss_that_is_not_finite_is_seen_and_never_saved(tmp_path: Path) -> None:
    done = run(
        tmp_path / "run", changed(lr=1e38, muon_lr=1e38, schedule="constant", warmup_steps=0, epochs=1, curriculum=[])
    )
    assert any(window.non_finite for window in of(done, ev.Window))
    assert not math.isfinite(of(done, ev.Epoch)[0].metrics["val_loss"])
    assert of(done, ev.Checkpoint) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"model": {"vocab_size": 100}},
            "run.model.vocab_size: expected the vocabulary of the tokenizer, 320, got 100",
        ),
        (
            {"model": {"max_length": 40}},
            "run.data.length: expected at most the model's max_length of 40 positions, got 48",
        ),
        ({"model": {"specialisation": "sped"}}, "run.model.specialisation: no such specialisation 'sped'"),
        ({"model": {"head_dim": 5}}, "run.model.head_dim"),
        ({"warmup_steps": 10_000}, "run.warmup_steps"),
    ],
)
def test_mistakes_end_the_run_before_the_first_step(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path / "run", changed(**change))
    assert says in str(caught.value)
