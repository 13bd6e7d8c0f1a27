"""The gallery: no healthy program fails, and of the broken ones no fewer are seen than the floors say.

One program of each task of the tuning half by default; all of them with ``LVM_GALLERY=full pytest suites/gallery``.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import pytest

from suites.gallery.counts import Counts, count
from suites.gallery.floors import FLOORS, FULL, SHORT, Floor
from suites.gallery.judge import Conclusion, Judgement, Kind, Named, judge_all, of_kind, short_form
from suites.gallery.peer_logs import EPOCHS, FORMS, write_log
from suites.gallery.peers import PEERS, Answer, versions
from suites.gallery.program import HALVES, discover
from suites.gallery.table import JudgedHalf, half_lines, loss_of

FORM = FULL if os.environ.get("LVM_GALLERY") == "full" else SHORT


@cache
def judged(half: str) -> tuple[Floor, list[Judgement], Counts]:
    floor = FLOORS[half, FORM]
    if floor is None:
        pytest.skip(f"the {half} set is judged with LVM_GALLERY=full only (suites/gallery/floors.py)")
    judgements = judge_all(half, short=FORM is SHORT, jobs=1 if FORM is SHORT else None)
    return floor, judgements, count(judgements)


@pytest.mark.parametrize("half", HALVES)
def test_every_program_is_judged_and_diagnosed(half: str) -> None:
    _, judgements, _ = judged(half)
    assert {item.name: item.concluded.error for item in judgements if item.concluded.error} == {}


@pytest.mark.parametrize("half", HALVES)
def test_no_healthy_program_fails(half: str) -> None:
    _, judgements, counts = judged(half)
    assert counts.healthy
    assert {item.name: item.concluded for item in of_kind(judgements, Kind.HEALTHY) if item.concluded.exit} == {}


@pytest.mark.parametrize("half", HALVES)
def test_few_healthy_programs_are_warned_of(half: str) -> None:
    floor, judgements, _ = judged(half)
    warned = {item.name: item.concluded.warned for item in of_kind(judgements, Kind.HEALTHY) if item.only_warned}
    assert len(warned) <= floor.healthy_warned, warned


@pytest.mark.parametrize("half", HALVES)
def test_broken_programs_are_flagged(half: str, capsys: pytest.CaptureFixture[str]) -> None:
    floor, judgements, counts = judged(half)
    with capsys.disabled():
        print(f"\n{half} half, {FORM}: {counts}")
    missed = {item.name: item.fault for item in of_kind(judgements, Kind.BROKEN) if not item.flagged}
    assert counts.flagged_share >= floor.flagged, missed


@pytest.mark.parametrize("half", HALVES)
def test_the_right_cause_comes_first_or_in_the_tie_of_the_first(half: str) -> None:
    floor, judgements, counts = judged(half)
    wrong = {item.name: item.concluded.named[:1] for item in of_kind(judgements, Kind.BROKEN) if not item.right}
    assert counts.right_share >= floor.right, wrong


# -- the gallery itself ------------------------------------------------------------------------------------------------
def test_the_gallery_is_as_large_as_it_should_be() -> None:
    programs = [program for half in HALVES for program in discover(half)]
    assert sum(not program.healthy for program in programs) >= 60
    assert sum(program.healthy for program in programs) >= 60
    assert len({program.task for program in programs}) >= 8


@pytest.mark.parametrize("half", HALVES)
def test_the_short_form_has_every_task_and_both_kinds(half: str) -> None:
    short = short_form(half)
    assert short == short_form(half)
    assert sorted(program.task for program in short) == sorted({program.task for program in discover(half)})
    assert 3 <= sum(program.healthy for program in short) <= len(short) - 3


# -- counting and showing ----------------------------------------------------------------------------------------------
def judgement(name: str, kind: Kind, code: int, *named: Named, warned: tuple[str, ...] = ()) -> Judgement:
    causes = frozenset() if kind is Kind.HEALTHY else frozenset({"loss_sign"})
    fault = "" if kind is Kind.HEALTHY else "sign of the loss"
    failed = ("not_diverging",) if code else ()
    return Judgement(
        half="tuning",
        name=name,
        task="gan",
        kind=kind,
        fault=fault,
        causes=causes,
        concluded=Conclusion(exit=code, failed=failed, warned=warned, named=named),
        rows=Path("rows.jsonl"),
    )


SIGN, RATE = Named("loss_sign", "likely"), Named("learning_rate_too_high", "likely")
JUDGED = {
    "": judgement("seen", Kind.BROKEN, 1, SIGN, RATE),
    "in a tie": judgement("tied", Kind.BROKEN, 1, Named("diverging", "consistent", also=("loss_sign",))),
    "second": judgement("second", Kind.BROKEN, 1, RATE, SIGN),
    "nothing": judgement("nothing", Kind.BROKEN, 0),
    "warned": judgement("warned", Kind.BROKEN, 0, SIGN, warned=("spikes",)),
    "hidden": judgement("hidden", Kind.HIDDEN, 0),
    "alarm": judgement("alarm", Kind.HEALTHY, 1),
    "healthy, warned": judgement("warned_healthy", Kind.HEALTHY, 0, warned=("spikes",)),
    "healthy": judgement("healthy", Kind.HEALTHY, 0),
}


def test_counts() -> None:
    counts = count(JUDGED.values())
    assert (counts.broken, counts.flagged, counts.warned, counts.first, counts.tied) == (5, 3, 1, 2, 1)
    assert (counts.hidden, counts.hidden_flagged) == (1, 0)
    assert (counts.healthy, counts.failed, counts.healthy_warned) == (3, 1, 1)
    assert (counts.flagged_share, counts.right_share) == (0.6, 0.6)


def test_every_way_to_lose_is_named_and_shown() -> None:
    lost = {name: loss_of(item) for name, item in JUDGED.items()}
    assert lost == {
        "": "",
        "in a tie": "",
        "second": "wrong cause",
        "nothing": "missed, no cause",
        "warned": "only warned of",
        "hidden": "",
        "alarm": "false alarm",
        "healthy, warned": "warned of",
        "healthy": "",
    }
    tools = [(peer.name, form) for peer in PEERS if not peer.cannot for form in FORMS]
    answers = {tool: [Answer(red=True, warned=False)] * len(JUDGED) for tool in tools}
    lines = half_lines(JudgedHalf("tuning", list(JUDGED.values()), answers))
    shown = [line for line in lines if line.startswith("| ")]
    for name, reason in lost.items():
        assert any(line.startswith(f"| {JUDGED[name].name} (") for line in shown) == bool(reason)
    assert len({line.count("|") for line in shown if "false alarm" in line or "missed" in line}) == 1


# -- logs for other tools ----------------------------------------------------------------------------------------------
def rows(*reported: tuple[str, int, int | None, dict[str, float]]) -> str:
    keys = ("kind", "step", "epoch", "values")
    return "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in reported)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (
            rows(
                ("step", 1, None, {"loss": 2.0, "lr": 0.1, "kl": 0.3}),
                ("epoch", 1, 1, {"train_loss": 2.0, "valid_loss": 3.0, "acc": 0.5}),
            ),
            "step,loss,lr,val_loss\n1,2.0,0.1,3.0\n",
        ),
        (rows(("epoch", 0, 1, {"train_loss": 2.0}), ("epoch", 0, 2, {"train_loss": 1.0})), "step,loss\n1,2.0\n2,1.0\n"),
        (rows(("epoch", 0, 1, {"reward": 5.0})), "step,reward\n1,5.0\n"),
        (rows(("step", 1, None, {"loss": float("nan")})), "step,loss\n1,nan\n"),
    ],
)
def test_rows_become_a_log_that_other_tools_read(tmp_path: Path, reported: str, expected: str) -> None:
    (tmp_path / "rows.jsonl").write_text(reported)
    write_log(tmp_path / "rows.jsonl", tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_text().replace("\r", "") == expected


def test_steps_become_the_means_of_their_epoch(tmp_path: Path) -> None:
    steps = [("step", step, None, {"loss": 4.0 / step, "lr": 0.1 / step}) for step in (1, 2)]
    (tmp_path / "rows.jsonl").write_text(rows(*steps, ("epoch", 2, 1, {"val_loss": 5.0})))
    write_log(tmp_path / "rows.jsonl", tmp_path / "log.csv", EPOCHS)
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step,loss,lr,val_loss", "2,3.0,0.05,5.0"]


def test_peers_are_pinned() -> None:
    assert set(versions()) == {peer.name for peer in PEERS if not peer.cannot}
    assert all(versions().values())
