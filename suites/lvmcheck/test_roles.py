"""What a metric is, by name, by values and by declaration."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lvmcheck.errors import BadValueError
from lvmcheck.run import events as ev
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction, Role, Split, role
from lvmcheck.run.view import Run, run_from

T, V, N = Split.TRAIN, Split.VALIDATION, Split.NONE
NAMES = [
    *((name, Quantity.LOSS, V) for name in ("val_loss", "eval_loss", "valid_loss", "validation_loss", "val/loss")),
    *((name, Quantity.LOSS, V) for name in ("test_loss", "dev_loss", "eval_squad_loss", "Validation/Loss")),
    *((name, Quantity.LOSS, T) for name in ("train_loss", "train/loss", "Train-Loss", "train_loss_epoch")),
    *((name, Quantity.ACCURACY, V) for name in ("val_acc", "val/top1", "eval_accuracy", "valAccuracy")),
    ("train_loss_mse", Quantity.TERM, T),
    ("val_kl_loss", Quantity.TERM, V),
    ("d_loss", Quantity.TERM, N),
    ("error_rate", Quantity.ERROR, N),
    ("val_cosine", Quantity.COSINE, V),
    ("val_perplexity", Quantity.PERPLEXITY, V),
    ("val_bits_per_byte", Quantity.BITS, V),
    ("ep_rew_mean", Quantity.REWARD, N),
    ("episode_return", Quantity.REWARD, N),
    ("val_explained_variance", Quantity.R2, V),
    ("val_f1", Quantity.SCORE, V),
    ("policy_entropy", Quantity.ENTROPY, N),
    ("approx_kl", Quantity.KL, N),
    ("samples_per_second", Quantity.COUNT, N),
    ("val_self_similarity", Quantity.UNKNOWN, V),
    ("flux_capacity", Quantity.UNKNOWN, N),
]


@pytest.mark.parametrize(("name", "quantity", "split"), NAMES, ids=[name for name, *_ in NAMES])
def test_a_name_says_quantity_and_split(name: str, quantity: Quantity, split: Split) -> None:
    found = role(name)
    assert (found.quantity, found.split) == (quantity, split)


def test_what_is_not_known_has_neither_direction_nor_range() -> None:
    found = role("flux_capacity", [1.0, 2.0])
    assert found.direction is Direction.UNKNOWN
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert not found.better(1.0, 2.0)
    assert not found.better(2.0, 1.0)


@pytest.mark.parametrize(
    ("values", "unit", "high"), [([0.1, 0.9], "", 1.0), ([10.0, 91.5], "%", 100.0), ([0.5, 250.0], "", math.inf)]
)
def test_values_tell_shares_from_percent(values: list[float], unit: str, high: float) -> None:
    found = role("val_acc", values)
    assert (found.unit, found.high) == (unit, high)


def test_explained_variance_may_be_negative() -> None:
    found = role("val_r2", [-1.4, 0.3])
    assert (found.low, found.high, found.direction) == (-math.inf, 1.0, Direction.HIGHER)


def _roles(*names: str) -> dict[str, Role]:
    return dict(run_from({name: [1.0, 0.5] for name in names}).curves.roles)


def test_a_loss_without_a_split_is_the_training_loss_unless_there_is_one() -> None:
    assert _roles("loss", "val_loss")["loss"].split is T
    both = _roles("loss", "train_loss")
    assert both["loss"].quantity is Quantity.TERM
    assert both["train_loss"].quantity is Quantity.LOSS


def test_several_evaluation_sets_are_each_judged() -> None:
    run = run_from({"train_loss": [2.0, 1.0], "eval_news_loss": [2.0, 1.0], "eval_code_loss": [2.0, 3.0]})
    assert [curve.role.group for curve in run.curves.validation] == ["news", "code"]


def test_training_and_validation_of_one_quantity_are_a_pair() -> None:
    run = run_from({"train_acc": [0.5, 0.6], "val_acc": [0.4, 0.5], "train_loss": [1.0, 0.9], "val_loss": [1.0, 0.9]})
    pairs = {curve.name: partner.name for curve in run.curves.evaluations if (partner := run.curves.partner(curve))}
    assert pairs == {"val_acc": "train_acc", "val_loss": "train_loss"}


# -- declarations ------------------------------------------------------------------------------------------------------
def test_a_declared_role_wins() -> None:
    said = {"swiss": {"quantity": "reward", "split": "val", "low": 0, "high": 10}}
    declared = Run(events=(ev.Declare(roles=said), ev.Epoch(epoch=1, step=1, metrics={"swiss": 3.0})))
    found = declared.curves.roles["swiss"]
    assert (found.quantity, found.split, found.direction) == (Quantity.REWARD, V, Direction.HIGHER)
    assert (found.low, found.high, found.declared) == (0.0, 10.0, True)


def test_roles_of_the_run_json_count_too() -> None:
    run = Run(info={"roles": {"m": "error"}}, events=(ev.Epoch(epoch=1, step=1, metrics={"m": 3.0}),))
    assert run.curves.roles["m"].direction is Direction.LOWER


@pytest.mark.parametrize(
    ("said", "values", "problem"),
    [
        ({"quantty": "loss"}, [], "Did you mean 'quantity'?"),
        ("accurracy", [], "Did you mean 'accuracy'?"),
        ({"split": "vall"}, [], "no such split"),
        ({"quantity": "loss", "direction": "higher"}, [], "better lower"),
        ({"quantity": "score", "low": 0, "high": 1}, [0.2, 3.0], "and 3 is recorded"),
        ({"quantity": "score", "low": "zero"}, [], "expected a number"),
    ],
)
def test_a_wrong_declaration_is_refused_by_name(said: Any, values: list[float], problem: str) -> None:
    with pytest.raises(BadValueError) as caught:
        role("m", values, said)
    assert problem in f"{caught.value}. {caught.value.fix or ''}"
    assert "roles.m" in str(caught.value)
