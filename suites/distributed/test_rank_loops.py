"""Anybody's loop on two ranks: what they record, where they stop, how they go on, and what their metrics are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lvmcheck
from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import parse_line
from lvmcheck.run.ranks import FOLDER
from suites.distributed import loops


@pytest.fixture(scope="module")
def found(ranks: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[Any]]]:
    """What each rank returned of each job, and the folder of the runs."""
    home = tmp_path_factory.mktemp("loops")
    stopped = {"asked_by": 1, "asked_at": 6, "resume": "auto"}
    jobs: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("trained", (f"{home}/whole", 20), {}),
        ("trained", (f"{home}/cut", 20), stopped),
        ("trained", (f"{home}/cut", 20), {"resume": "auto"}),
        ("trained", (f"{home}/asked", 20), {"asked_by": 0, "asked_at": 4}),
        ("epochs", (f"{home}/epochs", 5, 2), {}),
        ("free", (f"{home}/free", 64), {}),
        ("reduced", ([{"loss": (3.0, 3), "hits": (1, 2)}, {"loss": (9.0, 1), "hits": (0, 0)}],), {}),
        ("reduced", ([{"loss": (0.0, 0)}, {"loss": (0.0, 0)}],), {}),
        ("reduced", ([{"loss": (1.0, 1)}, {"cost": (1.0, 1), "hits": (1, 1)}],), {}),
    ]
    return home, ranks(2, timeout=120)(loops.several, jobs)


def test_two_ranks_write_one_run_and_a_stream_beside_it(found: Any) -> None:
    home, ranks = found
    run = lvmcheck.load(home / "whole")
    assert (run.finished, run.step, ranks[0][0]["steps"], ranks[1][0]["steps"]) == (True, 20, 20, 20)
    stream = (home / "whole" / FOLDER / "1.events.jsonl").read_bytes().splitlines()
    beside = [event for event in map(parse_line, stream) if isinstance(event, ev.Window)]
    assert [(window.first_step, window.last_step) for window in beside] == [(n, n) for n in range(1, 21)]
    assert [window.loss_mean for window in beside] == pytest.approx([window.loss_mean for window in run.windows])
    assert json.loads((home / "whole" / FOLDER / "1.end.json").read_text())["status"] == "finished"


def test_losses_are_those_of_one_process(found: Any, tmp_path: Path) -> None:
    alone = loops.trained(str(tmp_path / "alone"), 20)
    assert found[1][0][0]["losses"] == found[1][1][0]["losses"]
    assert found[1][0][0]["losses"] == pytest.approx(alone["losses"], rel=1e-5)


def test_all_ranks_stop_at_the_same_step_whoever_is_asked(found: Any) -> None:
    home, (first, second) = found
    for job, asked in ((1, 7), (3, 5)):
        assert first[job]["steps"] == second[job]["steps"]
        assert asked < first[job]["steps"] <= asked + 4
        assert (first[job]["reason"], second[job]["reason"]) == ("the test", "the test")
    assert lvmcheck.load(home / "asked").done["status"] == "stopped"  # type: ignore[index]


def test_a_requeued_job_goes_on_as_if_nothing_had_been(found: Any) -> None:
    home, (first, second) = found
    cut, went_on = first[1]["steps"], first[2]
    assert (went_on["began"], second[2]["began"]) == (cut, cut)
    assert (went_on["steps"], second[2]["steps"]) == (20, 20)
    assert [*first[1]["losses"], *went_on["losses"]] == first[0]["losses"]
    whole, cut_run = lvmcheck.load(home / "whole"), lvmcheck.load(home / "cut")
    assert cut_run.finished
    assert [(w.last_step, w.loss_mean) for w in cut_run.windows] == [(w.last_step, w.loss_mean) for w in whole.windows]


def test_the_end_of_an_epoch_is_the_same_answer_on_every_rank(found: Any) -> None:
    first, second = found[1]
    assert first[4] == second[4] == {"seen": [False, False, True], "steps": 9, "epochs": 3}


def test_ranks_that_seldom_meet_stop_together_too(found: Any) -> None:
    first, second = found[1]
    assert first[5] == second[5] < 64


def test_means_are_of_all_rows_and_not_of_ranks(found: Any) -> None:
    first, second = found[1]
    assert first[6] == second[6] == {"loss": 3.0, "hits": 0.5}
    assert first[7] == second[7] == {"loss": None}
    assert {rank[8]["key"] for rank in (first, second)} == {"reduce"}


@pytest.mark.parametrize("part", [0.5, (1.0,), (1.0, -1), (1.0, "x")])
def test_a_mean_alone_is_refused(part: Any, tmp_path: Path) -> None:
    with lvmcheck.record(tmp_path / "run") as rec:
        assert rec.reduce(loss=(3.0, 4)) == {"loss": 0.75}
        with pytest.raises(lvmcheck.InputError) as problem:
            rec.reduce(loss=part)
    assert problem.value.where == __file__
