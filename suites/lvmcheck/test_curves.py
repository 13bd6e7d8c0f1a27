"""Series of a run whatever was recorded, and universal checks on runs that a naive judge gets wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.protocol import evaluate, load_check
from lvmcheck.checks.shared import cases as made
from lvmcheck.errors import BadValueError
from lvmcheck.run import events as ev
from lvmcheck.run.curves import evened
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import constant_from, noise, shape, trend

FAILED, WARNING = Status.FAILED, Status.WARNING


def _noisy(values: Sequence[float], size: float, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [value + draw.gauss(0, size) for value in values]


def found(run: Run, *statuses: Status) -> dict[str, Verdict]:
    return {verdict.check: verdict for verdict in evaluate(run) if verdict.status in (statuses or (FAILED,))}


# -- figures of one curve ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("slope", [0.0, -0.001, 0.01])
def test_noise_is_that_of_the_points_and_not_of_the_trend(size: float, slope: float) -> None:
    values = np.array(_noisy([slope * i for i in range(2000)], size))
    assert noise(values) == pytest.approx(size, rel=0.1)


def test_a_flat_curve_has_no_trend_and_a_slow_one_has() -> None:
    flat = [trend(np.array(_noisy([1.0] * 100, 0.1, seed))) for seed in range(200)]
    assert sum(abs(value) > 3 for value in flat) <= 3
    assert trend(np.array(_noisy(made.lines(100, 1.0, 0.8), 0.05))) < -4


def test_levels_are_not_moved_by_a_spike() -> None:
    values = [*made.lines(60, 2.0, 0.5), *[0.5] * 40]
    values[70] = 30.0
    assert shape(np.array(values)).last == pytest.approx(0.5, abs=0.01)
    assert shape(np.array(values)).high < 3.0


def test_constant_from() -> None:
    assert constant_from(np.array([1.0, 2.0, 2.0, 2.0])) == 1
    assert constant_from(np.array([2.0, 2.0])) == 0


# -- series ------------------------------------------------------------------------------------------------------------
def _window(epoch: int, first: int, last: int, loss: float) -> ev.Window:
    return ev.Window(epoch=epoch, first_step=first, last_step=last, loss_mean=loss, loss_min=loss, loss_max=loss)


def test_the_mean_of_an_epoch_weighs_windows_by_their_steps() -> None:
    run = Run(events=(_window(1, 1, 1, 3.0), _window(1, 2, 10, 1.0), _window(2, 11, 20, 0.5)))
    means = run.curves.epoch_means
    assert means is not None
    assert means.values.tolist() == pytest.approx([1.2, 0.5])


def test_early_steps_one_by_one_weigh_like_later_windows() -> None:
    single = [_window(1, i, i, 2.0) for i in range(1, 51)]
    wide = [_window(1, 50 * i + 1, 50 * i + 50, 1.0) for i in range(1, 60)]
    losses = Run(events=(*single, *wide)).curves.window_losses
    assert losses is not None
    assert len(evened(losses)) == 60
    assert evened(losses).values[0] == 2.0


def test_metrics_by_step_are_curves_too() -> None:
    probes = [ev.Probe(name="val_loss", epoch=1, step=10 * i, values={"value": 1.0 / i}) for i in range(1, 5)]
    assert Run(events=tuple(probes)).curves.by_step["val_loss"].steps.tolist() == [10, 20, 30, 40]


# -- healthy runs that a naive judge flags ----------------------------------------------------------------------------
_TRAIN = _noisy(made.lines(60, 2.3, 0.9, 0.5, 0.4, 0.35), 0.03)
HEALTHY = {
    "no validation": made.window_run(_TRAIN),
    "validation every third epoch": Run(
        events=tuple(
            ev.Epoch(epoch=i + 1, step=0, metrics={"train_loss": v, **({"val_loss": v + 0.1} if i % 3 == 2 else {})})
            for i, v in enumerate(_TRAIN[::2])
        ),
        done={"status": "finished"},
    ),
    "ended by break": run_from({"train_loss": _TRAIN[:20], "val_loss": _TRAIN[1:21]}, config={"epochs": 200}),
    "two epochs": run_from({"train_loss": [2.3, 1.2], "val_loss": [2.0, 1.1]}),
    "undefined at first": run_from({"train_loss": _TRAIN[:8], "val_f1": [math.nan, *made.lines(7, 0.1, 0.8)]}),
    "adjusted score below 0": run_from({"train_loss": _TRAIN, "val_r2": made.lines(60, -1.2, 0.6)}),
    "perfect accuracy": run_from({"train_loss": _TRAIN, "val_acc": [*made.lines(20, 0.2, 1.0), *[1.0] * 40]}),
    "loss in the thousands": made.window_run([4000 * value for value in _TRAIN]),
    "density": run_from({"loss": _noisy(made.lines(30, 1.4, -2.0, -2.8, -3.0), 0.05)}),
    "cosine restarts": made.window_run(_noisy([a + 0.1 * (1 - i % 20 / 20) for i, a in enumerate(_TRAIN)], 0.01)),
    "plateau and then a drop": made.window_run(_noisy([*[2.3] * 30, *made.lines(30, 2.3, 0.4)], 0.02)),
    "critic of a policy": run_from(
        {"loss": _noisy(made.lines(40, 1.0, 9.0), 0.5), "reward": _noisy(made.lines(40, 10.0, 180.0), 5.0)}
    ),
    "two players": run_from({"d_loss": _noisy([1.3] * 40, 0.1), "g_loss": _noisy([0.7] * 40, 0.1)}),
    "a scaler searches": made.window_run(_TRAIN, grad_norms=[math.inf] * 2 + [1.0] * 58),
    "a loss by step that begins late": made.window_run(_TRAIN).extended(
        ev.Probe(name="train/q_loss", epoch=1, step=10 * i, values={"value": math.nan if i < 9 else 1.0 / i})
        for i in range(1, 50)
    ),
    "absent class": run_from({"train_loss": _TRAIN, "bbox/AP-zebra": [math.nan] * 60}),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_fails_nothing(name: str) -> None:
    assert not found(HEALTHY[name]), {k: v.finding for k, v in found(HEALTHY[name]).items()}


# -- broken runs -------------------------------------------------------------------------------------------------------
BROKEN = {
    "twenty steps that diverge": ("loss_diverging", made.window_run(made.lines(20, 2.3, 40.0), steps=1)),
    "validation alone diverges": (
        "loss_diverging",
        run_from({"loss": _TRAIN[:20], "val_loss": [2.3 * 1.3**i for i in range(20)]}),
    ),
    "back at its start": ("loss_diverging", made.window_run([*_TRAIN[:40], *_noisy([2.35] * 20, 0.03)])),
    "flat": ("nothing_learned", made.window_run(_noisy([2.3] * 60, 0.03))),
    "overfits": ("overfits", run_from({"loss": _TRAIN, "dev_loss": made.lines(60, 2.2, 0.9, 1.8, 2.9)})),
    "constant under another name": ("metric_constant", run_from({"loss": _TRAIN, "Eval/Perplexity": [12.5] * 60})),
    "exactly zero": ("loss_exactly_zero", made.window_run([*_TRAIN[:30], *[0.0] * 30])),
    "no gradient": ("gradient_norm_zero", made.window_run(_noisy([2.3] * 30, 0.02), grad_norms=[0.0] * 30)),
    "summed accumulation": (
        "train_val_ratio",
        run_from({"loss": [4.03 * v for v in _TRAIN], "val_loss": _TRAIN}, config={"accumulate": 4}),
    ),
    "not a number": ("finite", run_from({"loss": [*_TRAIN[:9], math.nan]})),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_fails_the_check_of_its_kind(name: str) -> None:
    check, run = BROKEN[name]
    assert check in found(run), {k: v.finding for k, v in found(run).items()}


# -- what a finding shows is what stands in the record ----------------------------------------------------------------
_FELL_AND_ROSE = [2.3, 1.5, 1.2, 1.0, 0.9, 0.85, 0.8, 3.0, 6.0, 9.0]
_WITH_GAPS = [math.nan, 2.3, 1.5, math.nan, 1.0, math.nan, math.nan, 0.8, 3.0, 6.0, 9.0]
_TOP = [0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.12, 0.1]
SHOWN = {
    "by epoch": ("loss_diverging", run_from({"loss": _FELL_AND_ROSE}), {"first": 2.3, "best": 0.8, "last": 9.0}, 7),
    "not a number between": (
        "loss_diverging",
        run_from({"loss": _WITH_GAPS}),
        {"first": 2.3, "best": 0.8, "last": 9.0},
        8,
    ),
    "a score": ("loss_diverging", run_from({"val_acc": _TOP}), {"first": 0.2, "best": 0.9, "last": 0.1}, 7),
    "early steps among windows": (
        "loss_diverging",
        Run(
            events=(
                *(_window(1, i, i, 2.0 - 0.01 * i) for i in range(1, 51)),
                *(_window(1, 50 * i + 1, 50 * i + 50, 1.4 - 0.05 * i) for i in range(1, 20)),
                *(_window(1, 50 * i + 1, 50 * i + 50, 0.1 * i) for i in range(20, 60)),
            ),
            done={"status": "finished"},
        ),
        {"first": 1.99, "best": 0.45, "last": 5.9},
        1,
    ),
    "validation": (
        "overfits",
        run_from({"loss": _TRAIN[:10], "val_loss": [2.0, 0.9, 0.7, 0.65, 0.9, 1.2, 1.5, 1.8, 2.0, 2.2]}),
        {"minimum": 0.65, "last": 2.2},
        4,
    ),
    "flat": (
        "nothing_learned",
        run_from({"loss": [2.3 + 0.01 * (i % 3) for i in range(30)]}),
        {"first": 2.3, "best": 2.3, "last": 2.32},
        1,
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_finding_shows_values_of_the_record(name: str) -> None:
    check, run, facts, epoch = SHOWN[name]
    finding = found(run)[check].finding
    assert finding is not None
    known = {fact.name: fact for fact in finding.evidence}
    assert {key: known[key].value for key in facts} == pytest.approx(facts)
    assert known.get("best", known.get("minimum")).epoch == epoch  # type: ignore[union-attr]


def test_a_pass_counts_the_scores_that_are_undefined() -> None:
    finding = next(v.finding for v in evaluate(HEALTHY["absent class"]) if v.check == "finite")
    assert finding is not None
    assert finding.measured == 60


def test_what_warns_changes_no_verdict() -> None:
    run = run_from(
        {"train_loss": made.lines(10, 3.4, 1.0), "eval_loss": made.lines(10, 0.5, 0.01), "perplexity": [1.1] * 10}
    )
    assert "loss_below_entropy" in found(run, WARNING)
    assert "loss_below_entropy" not in found(run)


# -- metric ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"metric": "val_loss", "at_least": 0.5}, "at_least"),
        ({"metric": "val_acc", "at_most": 0.5}, "at_most"),
        ({"metric": "val_acc"}, "at_least"),
        ({"metric": "val_acc", "at_least": math.nan}, "at_least"),
        ({"metric": "val_acc", "at_least": "0.9 *"}, "at_least"),
        ({"metric": "val_loss", "at_most": 0.5, "abort_below": 0.1}, "abort_below"),
        ({"metric": "val_loss", "at_most": 0.5, "steps": (9, 3)}, "steps"),
        ({"metric": "val_loss", "at_most": 0.5, "epoch": 0}, "epoch"),
    ],
)
def test_metric_refuses_what_makes_no_sense(keys: dict[str, object], key: str) -> None:
    with pytest.raises(BadValueError) as caught:
        load_check("metric")(**keys)
    assert caught.value.key == key


def test_the_right_spelling_is_offered() -> None:
    with pytest.raises(BadValueError, match=r"expected at_most = 0\.5"):
        load_check("metric")(metric="eval_loss", at_least=0.5)  # type: ignore[call-arg]
