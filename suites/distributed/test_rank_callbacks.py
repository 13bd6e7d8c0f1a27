"""Callbacks of other trainers on two ranks: each knows its rank, one writes the run, and all stop at the same step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lvmcheck
from suites.distributed import peers
from suites.readers.test_peers import needs


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(peers.with_lightning, marks=needs("lightning", "torch"), id="lightning"),
        pytest.param(peers.with_hugging_face, marks=needs("transformers", "accelerate", "torch"), id="hugging_face"),
        pytest.param(peers.with_accelerate, marks=needs("accelerate", "torch"), id="accelerate"),
    ],
)
def test_a_callback_stops_every_rank_at_the_same_step(function: Any, ranks: Any, tmp_path: Path) -> None:
    first, second = ranks(2, backend=None, timeout=120)(function, str(tmp_path / "run"))
    assert first == second
    assert peers.ASKED < first["steps"] <= peers.ASKED + 4
    run = lvmcheck.load(tmp_path / "run")
    assert (run.step, (run.done or {})["status"]) == (first["steps"], "stopped")
