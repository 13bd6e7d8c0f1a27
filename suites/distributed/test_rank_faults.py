"""Faults of ranks: each is named first, and nothing of ranks is said of its twin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import lvmcheck
from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import evaluate
from suites.distributed import faults

FULL = os.environ.get("LVM_RELIABILITY") == "full"
ALL = {
    "raw_module_called": "ranks_drift",
    "no_wrapper": "ranks_drift",
    "drifts": "ranks_drift",
    "begins_apart": "ranks_begin_apart",
    "never_syncs": "ranks_never_reduce",
    "syncs_every_pass": "ranks_reduce_every_pass",
    "same_rows": "ranks_see_same_rows",
    "overlapping_rows": "ranks_read_overlapping_rows",
    "missing_rows": "ranks_miss_rows",
    "epoch_never_set": "ranks_epoch_never_set",
    "split_unseeded": "ranks_split_differently",
    "own_metrics": "ranks_report_their_own",
    "few_rows_normalised": "ranks_normalise_few_rows",
    "scheduled_by_every_rank": "ranks_step_scheduler",
    "slow_rank": "rank_is_slow",
}
PARTS = ("stages", "sharded")
FEW = ("raw_module_called", "overlapping_rows", "own_metrics")
"""One of weights, of rows and of what is reported; all others with LVM_RELIABILITY=full."""
CAUSES = {name: cause for name, cause in ALL.items() if FULL or name in FEW}
TWINS = (*CAUSES, *PARTS) if FULL else ("no_wrapper", "stages")


@pytest.fixture(scope="module")
def runs(ranks: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("faults")
    jobs = [*((name, True) for name in CAUSES), *((name, False) for name in TWINS)]
    print("\n".join(ranks(2, timeout=240)(faults.all_of, str(home), jobs)[0]))
    return home


def of_ranks(run: lvmcheck.Run) -> list[str]:
    bad = (Status.FAILED, Status.WARNING, Status.ERROR)
    return [found.check for found in evaluate(run) if found.check.startswith("rank") and found.status in bad]


@pytest.mark.parametrize("fault", CAUSES)
def test_a_fault_of_ranks_comes_first(fault: str, runs: Path) -> None:
    run = lvmcheck.load(runs / f"{fault}_wrong")
    found = [diagnosis.name for diagnosis in diagnose(run)]
    assert found[:1] == [CAUSES[fault]], (found, of_ranks(run))


@pytest.mark.parametrize("twin", TWINS)
def test_nothing_is_said_of_its_twin(twin: str, runs: Path) -> None:
    run = lvmcheck.load(runs / f"{twin}_well")
    assert of_ranks(run) == []
    assert [diagnosis.name for diagnosis in diagnose(run) if diagnosis.name.startswith("rank")] == []


@pytest.mark.parametrize(("how", "code"), [("leaves", "rank_gone"), ("raises", "rank_failed")][: 2 if FULL else 1])
def test_the_rank_that_ended_is_named_in_the_run_of_rank_0(how: str, code: str, ranks: Any, tmp_path: Path) -> None:
    assert ranks(2, backend=None)(faults.dies, str(tmp_path / "run"), how) == [1, 1 if how == "raises" else 3]
    run = lvmcheck.load(tmp_path / "run")
    found = {verdict.check: verdict for verdict in evaluate(run)}["ranks_reach_the_end"]
    assert found.finding is not None
    assert found.finding.code == code
    assert diagnose(run)[0].name == "rank_is_gone"
