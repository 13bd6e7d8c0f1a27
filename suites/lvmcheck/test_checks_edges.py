"""Checks at their bounds: exactly there they pass, just beyond they fail; each reason is said where it applies."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lvmcheck.checks.finding import Outcome, Scalar, Status
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from
from suites.lvmcheck.checks_kit import answer, text

PASSED, FAILED, PENDING, WARNING = Status.PASSED, Status.FAILED, Status.PENDING, Status.WARNING
NOT_APPLICABLE, NOT_RECORDED, ERROR = Status.NOT_APPLICABLE, Status.NOT_RECORDED, Status.ERROR


def gap(train: float, val: float) -> Run:
    return run_from({"train_cosine": [train], "val_cosine": [val]})


def ood(value: float, val: float) -> Run:
    return made.val_run([val], facts={"mean_of_context": 0.5, "ood.x.mean_of_context": 0.5}, ood_cosine=[value])


def reloaded(value: float) -> Run:
    run = made.val_run([0.5])
    return run.extended([ev.Evaluation(name="reload", metrics={"val_cosine": value, "recorded_val_cosine": 0.5})])


def ledger(error: float | None) -> Run:
    return made.window_run([1.0] * 10, terms={"mse": (1.0, [0.75] * 10)}, ledger_error=error)


def norms(last: float) -> Run:
    return made.window_run([1.0] * 10, grad_norms=[1.0] * 9 + [last])


def ratio(value: float, *, windows: int = 20) -> Run:
    probes = {step: {"a": 1.0, "b": value} for step in range(100, 600, 100)}
    terms = {"a": (0.5, [1.0] * windows), "b": (0.5, [1.0] * windows)}
    return made.window_run([1.0] * windows, terms=terms, gradients=probes, per_epoch=20, over=False)


def shares(a: float, b: float) -> Run:
    return made.window_run([1.0] * 20, terms={"a": (1.0, [a] * 20), "b": (1.0, [b] * 20)}, per_epoch=20)


FACTS = {"constant_mean": 0.25, "persistence": 0.375, "mean_of_context": 0.5, "best_linear": 0.625}
EDGES: list[tuple[str, dict[str, Any], Run, Status]] = [
    ("generalisation_gap", {"max_gap": 0.25}, gap(0.75, 0.5), PASSED),
    ("generalisation_gap", {"max_gap": 0.25}, gap(0.7501, 0.5), FAILED),
    ("ood_holds", {"max_drop": 0.25}, ood(0.5, 0.75), PASSED),
    ("ood_holds", {"max_drop": 0.25}, ood(0.4999, 0.75), FAILED),
    ("reload_agrees", {"tolerance": 0.25}, reloaded(0.75), PASSED),
    ("reload_agrees", {"tolerance": 0.25}, reloaded(0.2499), FAILED),
    ("loss_ledger", {"tolerance": 0.25}, ledger(0.25), PASSED),
    ("loss_ledger", {"tolerance": 0.25}, ledger(None), PASSED),
    ("loss_ledger", {"tolerance": 0.2499}, ledger(None), FAILED),
    ("grad_norm_bounded", {"bound": 4.0}, norms(4.0), PASSED),
    ("grad_norm_bounded", {"bound": 4.0}, norms(4.0001), FAILED),
    ("loss_balance", {}, ratio(20.0), PASSED),
    ("loss_balance", {}, ratio(20.01), FAILED),
    ("loss_balance", {"max_share": 0.75}, shares(0.75, 0.25), PASSED),
    ("loss_balance", {"max_share": 0.74}, shares(0.75, 0.25), WARNING),
    ("beats_baselines", {"margin": 0.25}, made.val_run([0.75], facts=FACTS), PASSED),
    ("beats_baselines", {"margin": 0.25}, made.val_run([0.7499], facts=FACTS), FAILED),
    ("beats_baselines", {"linear_margin": 0.125}, made.val_run([0.75], facts=FACTS), PASSED),
    ("beats_baselines", {"linear_margin": 0.126}, made.val_run([0.75], facts=FACTS), FAILED),
    ("improves", {"min_gain": 0.25}, made.val_run([0.25, 0.5, 0.5, 0.5, 0.5]), PASSED),
    ("improves", {"min_gain": 0.25}, made.val_run([0.25, 0.4999, 0.4, 0.4, 0.4]), FAILED),
    ("improves", {"min_gain": 0.25}, made.val_run([0.25, 0.3, 0.3, 0.3, 0.3, 0.9]), FAILED),
    ("val_loss_descends", {}, run_from({"val_loss": [3.0, 1.0, 2.0]}), PASSED),
    ("val_loss_descends", {}, run_from({"val_loss": [3.0, 1.0, 2.01]}), FAILED),
    ("val_loss_descends", {}, run_from({"val_loss": [2.0, 1.0, 1.0, 1.0, 1.0, 5.0]}), PASSED),
    ("val_loss_descends", {}, run_from({"val_loss": [2.0, 1.0, 1.0, 1.0, 5.0]}), FAILED),
    ("val_loss_descends", {}, run_from({"val_loss": [1.0, 0.9991]}), FAILED),
    ("val_loss_descends", {}, run_from({"val_loss": [1.0, 0.9989]}), PASSED),
    ("val_identity", {"tolerance": 0.5}, made.val_run([0.5], facts={"dim": 768}, val_loss=[0.5 / 768]), PASSED),
    ("val_identity", {"tolerance": 0.49}, made.val_run([0.5], facts={"dim": 768}, val_loss=[0.5 / 768]), FAILED),
    ("not_diverging", {"collapse": 0.25, "drop": 1.0}, made.val_run([0.5, 0.25]), PASSED),
    ("not_diverging", {"collapse": 0.25, "drop": 1.0}, made.val_run([0.5, 0.2499]), FAILED),
    ("not_diverging", {"drop": 0.0625}, made.val_run([0.5, 0.43, 0.43]), PASSED),
    ("not_diverging", {"drop": 0.0625}, made.val_run([0.5, 0.43, 0.43, 0.43]), FAILED),
    ("not_diverging", {"drop": 0.0625}, made.val_run([0.5, 0.43, 0.43, 0.48, 0.43, 0.43]), PASSED),
    ("not_diverging", {}, run_from({"train_loss": [1.0, 2.0, 2.0, 2.0]}), PASSED),
    ("not_diverging", {}, run_from({"train_loss": [1.0, 2.01, 2.01, 2.01]}), FAILED),
    ("not_diverging", {}, run_from({"train_loss": [1.0, 2.01, 2.01]}), PASSED),
]


@pytest.mark.parametrize(
    ("check", "keys", "run", "status"), EDGES, ids=[f"{i}-{row[0]}-{row[3]}" for i, row in enumerate(EDGES)]
)
def test_the_bound_itself_passes_and_beyond_it_fails(
    check: str, keys: dict[str, Any], run: Run, status: Status
) -> None:
    outcome = answer(check, run, **keys)
    assert outcome.status is status, text(outcome)
    margin = outcome.finding.margin if outcome.finding else None
    assert margin is None or (margin >= 0) is (status is PASSED)


# -- reasons ---------------------------------------------------------------------------------------------------------
REASONS: list[tuple[str, dict[str, Any], Run, Status]] = [
    ("val_identity", {}, made.val_run([0.5]), NOT_APPLICABLE),
    ("val_identity", {"dim": 768}, made.val_run([0.4, 0.5], val_loss=[0.6, 0.5]), NOT_APPLICABLE),
    ("val_identity", {}, made.val_run([0.5], facts={"dim": 8, "val_loss": "cross entropy"}), NOT_APPLICABLE),
    ("val_identity", {"dim": 2}, run_from({"val_loss": [0.5]}), NOT_RECORDED),
    ("val_identity", {"loss": "val_los"}, made.val_run([0.5]), NOT_RECORDED),
    ("val_loss_moves", {}, run_from({"train_loss": [1.0]}), NOT_RECORDED),
    ("val_loss_moves", {"metric": "vall_loss"}, made.val_run([0.5]), NOT_RECORDED),
    ("val_loss_moves", {}, made.val_run([0.5]), NOT_APPLICABLE),
    ("loss_ledger", {}, made.val_run([0.5]), NOT_APPLICABLE),
    ("loss_ledger", {}, run_from({"train_loss_mse": [1.0]}), NOT_RECORDED),
    ("loss_ledger", {}, run_from({"train_loss": [1.0], "train_loss_mse": [1.0]}), NOT_RECORDED),
    ("loss_ledger", {}, run_from({"train_loss": [1.0]}, config={"loss": {"mse": 1.0}}), NOT_RECORDED),
    ("loss_balance", {"main": "mze"}, shares(0.5, 0.5), ERROR),
    ("loss_balance", {}, made.val_run([0.5]), NOT_APPLICABLE),
    ("loss_balance", {}, run_from({"train_loss_a": [1.0]}), NOT_RECORDED),
    (
        "loss_balance",
        {},
        made.window_run([1.0], terms={"a": (0.5, [1.0]), "b": (0.5, [1.0])}, per_epoch=1),
        NOT_RECORDED,
    ),
    ("grad_norm_bounded", {}, made.window_run([1.0] * 10), NOT_RECORDED),
    ("grad_norm_bounded", {}, made.val_run([0.5]), NOT_APPLICABLE),
    ("not_diverging", {}, made.val_run([0.5]), NOT_APPLICABLE),
    ("beats_baselines", {}, made.val_run([0.5]), NOT_RECORDED),
    ("beats_baselines", {"linear_margin": 0.0}, made.val_run([0.6], facts={**FACTS, "best_linear": "?"}), NOT_RECORDED),
    ("ood_holds", {}, made.val_run([0.5], ood_cosine=[0.5]), NOT_RECORDED),
    ("reload_agrees", {}, made.val_run([0.5]), NOT_RECORDED),
    ("improves", {}, run_from({"val_cosine": [0.5], "x": [1.0]}), FAILED),
    ("val_loss_descends", {}, made.val_run([0.5]), NOT_RECORDED),
    ("cosine_floor", {"metric": "val_cosin", "epoch": 1, "floor": 0.5}, made.val_run([0.6]), NOT_RECORDED),
    ("cosine_floor", {"metric": "m", "epoch": 2, "floor": 0.5}, run_from({"m": [0.6]}), FAILED),
    ("config_matches", {"expected": {"lr": 1.0}}, Run(events=(ev.Begin(),)), NOT_RECORDED),
]


@pytest.mark.parametrize(
    ("check", "keys", "run", "status"), REASONS, ids=[f"{i}-{row[0]}" for i, row in enumerate(REASONS)]
)
def test_without_a_measurement_there_is_a_reason(check: str, keys: dict[str, Any], run: Run, status: Status) -> None:
    outcome = answer(check, run, **keys)
    assert outcome.status is status, text(outcome)
    assert outcome.finding is None
    assert outcome.reason
    assert outcome.why is not None


def test_a_term_of_the_config_that_is_not_logged_is_named() -> None:
    run = run_from({"train_loss": [1.0], "train_loss_mse": [0.5]}, config={"loss": {"mse": 1.0, "aux": 0.5}})
    outcome = answer("loss_ledger", run)
    assert outcome.status is FAILED
    assert code_and_fact(outcome, "not_logged") == ("hidden_remainder", "aux")


def code_and_fact(outcome: Outcome, name: str) -> tuple[str, Scalar]:
    assert outcome.finding is not None, text(outcome)
    fact = outcome.finding.fact(name)
    return outcome.finding.code, fact.value if fact else None


def code(outcome: Outcome) -> str:
    assert outcome.finding is not None, text(outcome)
    return outcome.finding.code


def test_codes_say_what_was_found() -> None:
    assert code(answer("ood_holds", ood(0.7, 0.5))) == "drop"
    assert code(answer("ood_holds", ood(0.01, 0.55))) == "near_zero"
    assert code(answer("ood_holds", ood(0.1, 0.55))) == "drop"


def test_a_drop_is_measured_from_the_best() -> None:
    finding = answer("not_diverging", made.val_run([0.3, 0.5, 0.25])).finding
    assert finding is not None
    assert finding.measured == pytest.approx(0.25)
    assert finding.margin == pytest.approx(-0.15)
    assert finding.epoch == 3


def test_a_gain_is_measured_from_the_first_epoch() -> None:
    finding = answer("improves", made.val_run([0.25, 0.5])).finding
    assert finding is not None
    assert (finding.measured, finding.epoch) == (0.25, 2)
    assert finding.margin == pytest.approx(0.245)


def test_no_optimum_excuses_a_loss_above_it() -> None:
    """Flat at the optimum of the data passes; flat well above it fails."""
    facts = {"optimum": 0.6, "dim": 768}
    assert answer("val_loss_descends", made.val_run([0.6, 0.6], facts=facts)).status is PASSED
    assert answer("val_loss_descends", made.val_run([0.5, 0.5], facts=facts)).status is FAILED


# -- when it is decided ----------------------------------------------------------------------------------------------
def test_balance_is_decided_one_window_after_the_stretch() -> None:
    assert load_check("loss_balance")().judge(ratio(388.0, windows=10)).status is PENDING
    outcome = load_check("loss_balance")().judge(ratio(388.0, windows=11))
    assert outcome.status is FAILED
    assert outcome.abort
    assert load_check("loss_balance")().judge(ratio(5.0, windows=11)).status is PENDING, "epoch 1 goes on"


def test_balance_of_short_epochs_is_made_up_by_later_ones() -> None:
    """An epoch of one window has no step after 100: the third one has."""
    for ended, status in ((2, PENDING), (3, WARNING)):
        terms = {"a": (0.5, [0.01] * ended), "b": (0.5, [1.0] * ended)}
        run = made.window_run([0.5] * ended, terms=terms, per_epoch=1, over=ended == 3)
        assert load_check("loss_balance")().judge(run).status is status


def test_balance_looks_at_as_many_epochs_as_asked() -> None:
    """A term that takes over in the second epoch."""
    small, large = [1.0] * 20, [1.0] * 10 + [100.0] * 10
    run = made.window_run([1.0] * 20, terms={"a": (0.5, small), "b": (0.5, large)}, per_epoch=10)
    assert answer("loss_balance", run).status is PASSED
    outcome = answer("loss_balance", run, epochs=2)
    assert outcome.status is WARNING
    assert not outcome.abort
    assert outcome.finding is not None
    assert outcome.finding.epoch == 2


def test_idle_epochs_are_known_by_their_windows() -> None:
    """Learning rate 0 in every step of the second epoch: the same validation loss is no wonder."""

    def run(rate: float) -> Run:
        events: list[ev.Event] = []
        for epoch, lr in ((1, 1e-3), (2, rate), (3, 1e-3)):
            loss = 1.0 / epoch
            window = ev.Window(
                epoch=epoch, first_step=epoch, last_step=epoch, loss_mean=loss, loss_min=loss, loss_max=loss, lr=lr
            )
            val = 0.71234567 if epoch < 3 else 0.6
            events += [
                window,
                ev.Epoch(epoch=epoch, step=epoch, metrics={"val_loss": val, "train_loss": loss, "lr": 0.0}),
            ]
        return Run(events=tuple(events), done={"status": "finished"})

    assert answer("val_loss_moves", run(0.0)).status is PASSED
    assert answer("val_loss_moves", run(1e-3)).status is FAILED


def test_an_explosion_before_the_bound_is_the_one_that_is_named() -> None:
    values = [0.01] * 10 + [0.5] * 5 + [50.0]
    outcome = answer("grad_norm_bounded", made.window_run([1.0] * 16, grad_norms=values, over=False))
    assert outcome.finding is not None
    assert outcome.finding.step == 650
    outcome = answer("grad_norm_bounded", made.window_run([1.0] * 16, grad_norms=[50.0, *values[:-1]], over=False))
    assert outcome.finding is not None
    assert outcome.finding.step == 50


def test_config_compares_lists_and_booleans_as_they_are() -> None:
    expected = {"betas": [0.9, 0.999], "fused": True, "model": {"kind": "amn"}}
    for config, differs in (
        ({"betas": [0.9, 0.999], "fused": True, "model": {"kind": "amn"}}, ""),
        ({"betas": [0.9, 0.99], "fused": True, "model": {"kind": "amn"}}, "betas"),
        ({"betas": [0.9], "fused": True, "model": {"kind": "amn"}}, "betas"),
        ({"betas": [0.9, 0.999], "fused": 1, "model": {"kind": "amn"}}, "fused"),
        ({"betas": [0.9, 0.999], "fused": True, "model": {"kind": "amn", "depth": 2}}, "model.depth"),
    ):
        outcome = answer("config_matches", made.config_run(config), expected=expected)
        assert outcome.status is (FAILED if differs else PASSED)
        assert not differs or (outcome.finding is not None and outcome.finding.measured == 1), text(outcome)


def test_the_known_good_config_is_the_healthy_run() -> None:
    check = load_check("config_matches")(reference="amn_584k_pure_mse")
    assert check.detail() == "amn_584k_pure_mse"
    good = {
        "model": {"kind": "amn", "d_model": 256, "hidden_dim": 512},
        "data": {"source": "twin", "context": 5},
        "loss": {"mse": 1.0},
        "epochs": 20,
        "batch_size": 32,
        "lr": 5e-4,
        "schedule": "plateau",
        "weight_decay": 0.01,
        "clip_norm": 1.0,
    }
    assert judge(check, made.config_run(good)).status is PASSED
    changed = {**good, "lr": 2.5e-4, "loss": {"mse": 0.5, "info_nce": 0.5}}
    finding = judge(check, made.config_run(changed)).finding
    assert finding is not None
    assert finding.measured == 3
    assert dataclasses.replace(check, ignore=("loss", "lr")).judge(made.config_run(changed)).status is PASSED
