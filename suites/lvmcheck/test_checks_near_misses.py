"""Codes of checks that their own files have no room to prove: what each must see, and what is next to it and sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from lvmcheck.checks.curves._cases import cosine, rates
from lvmcheck.checks.curves.first_epoch_agrees import first_epoch_run
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.checks.shared.cases import lines, window_run
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.view import Run, run_from

LN10, LN255 = math.log(10), math.log(255)


def beside(losses: Sequence[float], metrics: dict[str, Sequence[float]], **config: object) -> Run:
    """Windows of 50 steps with metrics by epoch, of a run that has ended."""
    run = window_run(losses, config=config, per_epoch=len(losses) + 1)
    return replace(run.extended(run_from(metrics).events), done={"status": "finished"})


def epochs(first: float, last: Sequence[float], **more: Sequence[float]) -> Run:
    train = [first, *lines(6, first, last[0]), *last]
    return run_from({"train_loss": train, "val_loss": [0.9 * v if v > last[0] else v for v in train], **more})


TEN = [LN10 + 1e-4, LN10, LN10 - 1e-4]
PAIRS = [LN255, *lines(39, LN255 - 0.003, LN255 - 0.015)]
FIVE = math.log(5)
RIGHT = lines(8, 0.85, 0.92)
TWICE = [math.log(1 + 4 / math.e) + (1 - a) for a in RIGHT]
FELL = lines(12, 5.9, 0.5)
FALLS = lines(12, 0.86, 0.75)
WEAK = {"val_mse": [0.81, 0.80, 0.81, 0.80, 0.82, 0.81, 0.82, 0.82, 0.81, 0.82]}
NOISY = {"val_loss": [0.694, 0.696, 0.686, 0.689, 0.687, 0.688], "val_acc": [0.557, 0.51, 0.565, 0.562, 0.585, 0.574]}
BAD: Sequence[tuple[str, str, Run]] = (
    ("nothing_learned", "at_ln_k", epochs(7.3, TEN)),
    ("nothing_learned", "at_ln_of_pairs", beside(PAIRS, {"val_knn_accuracy": lines(8, 0.6, 0.7)}, batch_size=128)),
    ("nothing_learned", "near_uniform", beside(lines(20, 4.6, 3.3), {"val_loss": [3.33, 3.31, *[3.33] * 8]}, vocab=96)),
    (
        "loss_fits_accuracy",
        "two_softmaxes",
        beside([FIVE, *lines(30, 1.5, 0.97)], {"val_loss": TWICE, "val_acc": RIGHT}),
    ),
    ("metric_constant", "constant", run_from({"loss": FELL, "val_loss": FELL, "val_acc": [0.84137] * 12})),
    (
        "metric_constant",
        "zero_throughout",
        beside(lines(20, 0.69, 0.6), {"loss": lines(6, 0.69, 0.6), "val_f1": [0.0] * 6}),
    ),
    ("nothing_learned", "at_mean_target", beside(FALLS, {**WEAK, "val_r2": [0.03, 0.01, 0.02, 0.0, 0.01] * 2})),
    (
        "nothing_learned",
        "at_chance",
        beside(
            lines(12, 0.73, 0.69), {"val_loss": [0.694, 0.693] * 3, "val_acc": [0.51, 0.49, 0.5, 0.505, 0.495, 0.5]}
        ),
    ),
    ("loss_diverging", "runs_away", run_from({"loss": [8.0 - 2.0**i for i in range(12)]})),
    ("schedule_shape", "swings", rates(cosine(120, 12))),
    ("schedule_shape", "rises_to_the_end", rates(lines(300, 4e-6, 2.4e-5), lr=2e-3)),
)
"""Check, code, and a run."""
SOUND: Sequence[tuple[str, str, Run]] = (
    ("nothing_learned", "a_weak_signal", beside(FALLS, {**WEAK, "val_r2": [0.22, 0.23, 0.22, 0.23, 0.21] * 2})),
    ("nothing_learned", "noisy_labels", beside(lines(12, 0.73, 0.60), NOISY)),
    ("loss_diverging", "a_density_that_slows_down", run_from({"loss": [8.0 - 130 * (1 - 0.8**i) for i in range(12)]})),
    ("nothing_learned", "above_ln_k", epochs(7.3, [2.35, 2.34, 2.35])),
    ("nothing_learned", "fell_to_ln_k_with_its_accuracy", epochs(7.3, TEN, val_acc=lines(10, 0.2, 0.8))),
    ("nothing_learned", "pairs_that_part", beside([LN255, *lines(39, 5.5, 3.3)], {}, batch_size=128)),
    (
        "nothing_learned",
        "letters_that_are_learned",
        beside(lines(20, 4.6, 2.5), {"val_loss": lines(10, 3.3, 2.5)}, vocab=96),
    ),
    (
        "loss_fits_accuracy",
        "smoothed",
        beside([FIVE, *lines(30, 1.5, 0.7)], {"val_loss": lines(8, 0.9, 0.7), "val_acc": RIGHT}),
    ),
    ("metric_constant", "two_hundred_rows", run_from({"loss": FELL, "val_loss": FELL, "val_acc": [0.84] * 12})),
    ("metric_constant", "as_good_as_it_gets", run_from({"loss": FELL, "val_loss": FELL, "val_acc": [0.96137] * 12})),
    ("metric_constant", "found_at_last", run_from({"loss": lines(6, 0.69, 0.6), "val_f1": [0, 0, 0, 0.1, 0.2, 0.3]})),
    ("first_epoch_agrees", "full_batch", first_epoch_run([1.6, 1.5, 1.6], steps=lines(40, 1.2, 0.42))),
    (
        "first_updates_small",
        "linear_model",
        case_run("update_ratio", [{"median": v, "highest": v, "usual": v} for v in (2.0, 0.9, 0.64)], ["weight"] * 2),
    ),
    ("first_epoch_agrees", "another_unit", first_epoch_run([70.0, 60.0, 61.0])),
    ("first_epoch_agrees", "one_evaluation", first_epoch_run([1.7])),
    ("schedule_shape", "declared_cycles", rates(cosine(120, 12), scheduler="cyclic")),
    ("schedule_shape", "long_cycles", rates(cosine(300, 100))),
    ("schedule_shape", "warm_up_that_ends", rates([*lines(30, 4e-6, 2e-3), *[2e-3] * 270], lr=2e-3)),
)
"""Check, what the run is, and the run."""


@pytest.mark.parametrize(("check", "code", "run"), BAD, ids=[f"{check}-{code}" for check, code, _ in BAD])
def test_is_seen(check: str, code: str, run: Run) -> None:
    outcome = judge(load_check(check)(), run)
    assert outcome.status in (Status.FAILED, Status.WARNING), outcome
    assert outcome.finding is not None
    assert outcome.finding.code == code


@pytest.mark.parametrize(("check", "what", "run"), SOUND, ids=[f"{check}-{what}" for check, what, _ in SOUND])
def test_is_let_be(check: str, what: str, run: Run) -> None:
    assert judge(load_check(check)(), run).status not in (Status.FAILED, Status.WARNING, Status.ERROR), what
