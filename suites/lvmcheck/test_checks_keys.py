"""Wrong values of a check's keys are refused by name."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lvmcheck.checks.protocol import load_check
from lvmcheck.errors import BadValueError

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": 1.2}, "floor"),
    ("cosine_floor", {"metric": "m", "epoch": 0, "floor": 0.5}, "epoch"),
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": 0.4, "abort_below": 0.5}, "abort_below"),
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": "best_liner + 1"}, "floor"),
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": "__import__('os')"}, "floor"),
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": "optimum * optimum"}, "floor"),
    ("cosine_floor", {"metric": "m", "epoch": "final", "floor": 0.5, "min_steps": 5}, "min_steps"),
    ("data_fact", {"fact": "leak"}, "at_least"),
    ("data_fact", {"fact": "leak", "at_least": 2.0, "at_most": 1.0}, "at_least"),
    ("improves", {"by_epoch": 1}, "by_epoch"),
    ("improves", {"min_gain": 0.0}, "min_gain"),
    ("val_loss_descends", {"tolerance": -1.0}, "tolerance"),
    ("val_loss_moves", {"epochs": 1}, "epochs"),
    ("val_identity", {"dim": 0}, "dim"),
    ("generalisation_gap", {"epoch": 0}, "epoch"),
    ("generalisation_gap", {"max_gap": math.nan}, "max_gap"),
    ("beats_baselines", {"margin": 3.0}, "margin"),
    ("ood_holds", {"max_drop": -0.1}, "max_drop"),
    ("loss_ledger", {"tolerance": 2.0}, "tolerance"),
    ("loss_balance", {"max_ratio": 0.5}, "max_ratio"),
    ("loss_balance", {"from_step": 500, "to_step": 500}, "to_step"),
    ("grad_norm_bounded", {"bound": 0.0}, "bound"),
    ("not_diverging", {"factor": 0.9}, "factor"),
    ("config_matches", {}, "reference"),
    ("config_matches", {"expected": {"lr": 1}, "ignore": ("lr",)}, "expected"),
    ("config_matches", {"reference": "amn_584k_pure_mze"}, "reference"),
    ("config_matches", {"reference": "../secret"}, "reference"),
    ("reload_agrees", {"tolerance": -1.0}, "tolerance"),
    ("answers_correct", {"floor": 1.5}, "floor"),
    ("answers_correct", {"floor": 0.5, "min_questions": 0}, "min_questions"),
    ("answers_correct", {"floor": 0.5, "epoch": 0}, "epoch"),
    ("halting_variance", {"min_variance": -1.0}, "min_variance"),
    ("halting_variance", {"min_tokens": 1}, "min_tokens"),
    ("halting_adapts", {"min_correlation": 2.0}, "min_correlation"),
    ("generations_vary", {"share": 1.1}, "share"),
    ("generations_vary", {"min_prompts": 1}, "min_prompts"),
    ("specialisations_differ", {"min_memory": 2.0}, "min_memory"),
    ("causal", {"tolerance": -1.0}, "tolerance"),
    ("eval_is_pure", {"tolerance": math.nan}, "tolerance"),
    ("batch_invariance", {"tolerance": 2.0}, "tolerance"),
    ("parameter_budget", {}, "at_least"),
    ("parameter_budget", {"at_least": 0}, "at_least"),
    ("parameter_budget", {"max_share": {"embedding": 1.5}}, "max_share.embedding"),
    ("plausible_range", {"at_least": 0.0}, "metric"),
    ("plausible_range", {"metric": "loss"}, "at_least"),
    ("too_good_to_be_true", {"share": 1.5}, "share"),
    ("no_late_divergence", {"factor": 0.5}, "factor"),
    ("no_late_divergence", {"recover": 2.0}, "recover"),
    ("effective_lr_matches_config", {"tolerance": 2.0}, "tolerance"),
    ("update_orthogonal", {"max_error": -0.1}, "max_error"),
    ("filter_is_low_pass", {"min_gain": -0.1}, "min_gain"),
    ("val_disjoint_from_train", {"max_overlap": 1.5}, "max_overlap"),
    ("tokens_scored_once", {"tolerance": 3.0}, "tolerance"),
    ("evaluated_weights_are_saved", {"checkpoint": ""}, "checkpoint"),
]


@pytest.mark.parametrize(("check", "keys", "key"), WRONG, ids=[f"{c}-{i}" for i, (c, _, _) in enumerate(WRONG)])
def test_wrong_values_are_refused_by_key(check: str, keys: dict[str, Any], key: str) -> None:
    with pytest.raises(BadValueError) as caught:
        load_check(check)(**keys)
    assert caught.value.key == key
    assert caught.value.problem
