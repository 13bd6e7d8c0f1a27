"""The checks on the original project's real training histories, where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.checks.wording import outcome_text
from lvmcheck.run.view import Run, run_from

HISTORIES = Path(__file__).parents[3] / "shared" / "data" / "histories"
MSE = {"mse": 1.0}
RUNS: dict[str, tuple[str, dict[str, float]]] = {
    "amn_584k": ("models__amn_584k_pure_mse_20251029_055838", MSE),
    "amn_232k": ("models__amn_232k_20251017_090129", MSE),
    "attempt_1": ("models__amn_790k_20251030_110346", MSE),
    "attempt_2": ("models__amn_790k_production_20251030_123212", {"mse": 0.5, "info": 0.5}),
    "attempt_3": ("models__amn_790k_20251030_154151", MSE),
    "lstm_oct13": ("models__lstm_baseline", {"info": 1.0, "moment": 0.01, "variance": 0.005}),
    "mamba2_oct13": ("models__mamba2", {"info": 1.0, "moment": 0.01, "variance": 0.005}),
}
# The runs in which each check must fail: the failures that were real, and no others.
FAILS: dict[str, set[str]] = {
    "finite": set(),
    "val_loss_moves": set(),
    "val_identity": set(),
    "not_diverging": set(),
    "improves": {"mamba2_oct13"},
    "val_loss_descends": {"attempt_2", "lstm_oct13"},
    # mamba2: its remainder follows 0.05 times 2 (1 - train cosine) / 768, an MSE of weight 0.05 that nothing mentions.
    "loss_ledger": {"attempt_1", "attempt_2", "attempt_3", "mamba2_oct13"},
    "loss_balance": set(),
    "generalisation_gap": {"lstm_oct13", "mamba2_oct13"},
}
KEYS: dict[str, dict[str, Any]] = {"val_identity": {"dim": 768}}


def history(name: str) -> Run:
    path = HISTORIES / f"{RUNS[name][0]}.json"
    if not path.is_file():
        pytest.skip("the original project's histories are not beside this checkout (../shared/data/histories)")
    rows = json.loads(path.read_text())["history"]
    # The histories log 0.0 for terms that were not computed, under weights that the configuration does not have.
    columns = {key: [row[key] for row in rows] for key in rows[0] if key != "epoch"}
    return run_from(columns, config={"loss": RUNS[name][1], "epochs": len(rows)})


WARNS = {("loss_balance", "attempt_2")}
"""Histories have no gradient norms of the terms: shares by value are a warning."""


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("check", FAILS)
def test_real_histories(check: str, name: str) -> None:
    outcome = judge(load_check(check)(**KEYS.get(check, {})), history(name))
    warned = Status.WARNING if (check, name) in WARNS else Status.PASSED
    assert outcome.status is (Status.FAILED if name in FAILS[check] else warned), outcome_text(outcome)
    assert outcome.evaluated >= 1


def test_the_hidden_term_of_attempt_1() -> None:
    finding = judge(load_check("loss_ledger")(), history("attempt_1")).finding
    assert finding is not None
    known = {fact.name: fact.value for fact in finding.evidence}
    assert finding.code == "hidden_remainder"
    assert known["hidden_remainder"] == pytest.approx(0.000976, rel=1e-3)
    assert known["share_of_loss"] == pytest.approx(45, abs=0.5)
    assert known["constant"] is True
    assert known["variance_hinge_weight"] == 0.001


def test_attempt_2_is_caught_in_epoch_1() -> None:
    whole = history("attempt_2")
    early = Run(events=whole.events[:1], info=whole.info)
    assert load_check("loss_balance")().judge(early).status is Status.PENDING  # a value alone says nothing so early
    assert load_check("loss_balance")().judge(whole).status is Status.WARNING
    floor = load_check("cosine_floor")(metric="train_cosine", epoch=1, floor=0.48, abort_below=0.45).judge(early)
    assert floor.status is Status.FAILED
    assert floor.abort
