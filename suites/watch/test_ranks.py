"""Ranks that drift apart, or read the same rows: what they tell each other, beside the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lvmcheck
from lvmcheck.causes.protocol import diagnose
from lvmcheck.run.ranks import FOLDER, SESSION, Meeting
from lvmcheck.run.silent import SilentRecorder
from suites.watch.steps import learn


def train(rec: lvmcheck.Recorder, batches: list[Tensor], seed: int = 0, width: int = 16) -> None:
    """Twelve steps on these batches, by default from the same weights on every rank."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rec.watch(model, optimizer)
    for batch in batches:
        loss = F.cross_entropy(model(batch), batch.argmax(1) % 3)
        learn(rec, optimizer, loss)


def two_ranks(path: Path, mine: list[Tensor], other: list[Tensor], **part: int) -> lvmcheck.Run:
    """The run of rank 0, beside which rank 1 trained: the same model, or another ``part``."""
    with lvmcheck.record(path) as rec:
        rec.meeting = Meeting(path, 0, 2)
        with SilentRecorder(path, meeting=Meeting(path, 1, 2)) as silent:
            train(silent, other, **part)
        train(rec, mine)
    return lvmcheck.load(path)


def batches(seed: int) -> list[Tensor]:
    return list(torch.randn(12, 16, 6, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize(
    ("other", "cause"),
    [(2, "ranks_drift"), (1, "ranks_see_same_rows")],
    ids=["each_trains_its_own_model", "all_read_the_same_rows"],
)
def test_a_fault_of_ranks_comes_first(other: int, cause: str, tmp_path: Path) -> None:
    run = two_ranks(tmp_path / "run", batches(1), batches(other))
    assert diagnose(run)[0].name == cause
    assert len([found for found in diagnose(run) if found.name.startswith("ranks_")]) == 1


@pytest.mark.parametrize(
    ("other", "part"), [(1, {"seed": 1}), (2, {"width": 12})], ids=["same_rows_other_weights", "other_sizes"]
)
def test_parts_of_one_model_are_not_compared(other: int, part: dict[str, int], tmp_path: Path) -> None:
    run = two_ranks(tmp_path / "run", batches(1), batches(other), **part)
    assert [found.name for found in diagnose(run) if found.name.startswith("ranks_")] == []


def test_ranks_that_agree_on_rows_of_their_own_are_heard_step_by_step(tmp_path: Path) -> None:
    heard = []
    ranks = [Meeting(tmp_path, rank, 2) for rank in range(2)]
    for step in (1, 2, 5):
        for rank in (1, 0):
            ranks[rank].tell(step, {"weights": [0.5, 1.0], "rows": [rank, 7.0]})
        heard += ranks[0].heard()
    assert [step for step, _ in heard] == [1, 2, 5]
    assert heard[0][1][0]["weights"] == heard[0][1][1]["weights"]


def test_what_an_earlier_launch_said_is_not_heard(tmp_path: Path) -> None:
    Meeting(tmp_path, 0, 2)
    old = Meeting(tmp_path, 1, 2)
    old.tell(1, {"weights": [9.0]})
    left = (tmp_path / FOLDER / "1.jsonl").read_text()
    now = Meeting(tmp_path, 0, 2)
    (tmp_path / FOLDER / "1.jsonl").write_text(left)
    now.tell(1, {"weights": [1.0]})
    assert now.heard() == []


@pytest.mark.parametrize(
    "line",
    ["", "[" * 50_000, "{}", '{"session": 1}', '{"step": "x", "rows": [1]}', "null", "\x00\xff"],
    ids=["empty", "deep", "object", "foreign", "no_number", "null", "control"],
)
def test_lines_from_elsewhere_are_not_heard(line: str, tmp_path: Path) -> None:
    meeting = Meeting(tmp_path, 0, 2)
    session = json.loads((tmp_path / FOLDER / SESSION).read_text())["session"]
    good = json.dumps({"session": session, "step": 2, "rows": [4.0]})
    bad = json.dumps({"session": session, "step": 3, "rows": ["NaN"]})
    (tmp_path / FOLDER / "1.jsonl").write_text(f"{line}\n{bad}\n{good}\n")
    for step in (2, 3):
        meeting.tell(step, {"rows": [4.0]})
    assert [step for step, _ in meeting.heard()] == [2]


def test_a_rank_without_the_folder_of_rank_0_is_silent(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path / "elsewhere", 1, 2)
    for step in range(100):
        meeting.tell(step, {"rows": [1.0]})
    assert not (tmp_path / "elsewhere").exists()
    alone = Meeting(tmp_path, 0, 2)
    alone.tell(1, {"rows": [1.0]})
    assert alone.heard(last=True) == []
