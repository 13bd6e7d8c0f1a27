"""The judge of a loop: a look at a bounded view, the whole record at the end, and one answer of both."""

from __future__ import annotations

import json
import math
import random
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

import lvmcheck
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.run.bounded import FIRST, LAST, MIDDLE, Bounded, BoundedFollower
from lvmcheck.run.events import Epoch, Event, Watch, Window
from suites.throughput.long_run import a_run

MOST = FIRST + 2 * MIDDLE + LAST
BAD = (Status.FAILED, Status.WARNING)


def bounded(events: tuple[Event, ...]) -> tuple[Event, ...]:
    view = Bounded()
    view.extend(events)
    return view.events()


def windows(events: tuple[Event, ...]) -> list[Window]:
    return [event for event in events if isinstance(event, Window)]


@pytest.mark.parametrize("count", [20, 1_000, 20_000])
def test_a_view_is_bounded_and_keeps_what_windows_add_up_to(count: int) -> None:
    events = a_run(count).events
    held, said = windows(bounded(events)), windows(events)
    assert len(held) <= min(len(said), MOST)
    assert held[:FIRST] == said[:FIRST]
    assert held[-LAST:] == said[-LAST:]
    steps = [window.last_step - window.first_step + 1 for window in held]
    assert sum(steps) == said[-1].last_step
    assert [b.first_step - a.last_step for a, b in pairwise(held)] == [1] * (len(held) - 1)
    total = sum(window.loss_mean * 50 for window in said)
    assert math.fsum(w.loss_mean * n for w, n in zip(held, steps, strict=True)) == pytest.approx(total)
    assert min(w.loss_min for w in held) == min(w.loss_min for w in said)
    assert max(w.loss_max for w in held) == max(w.loss_max for w in said)
    assert sum(w.samples for w in held) == sum(w.samples for w in said)
    assert {w.terms["mse"].weight for w in held} == {1.0}


def test_what_is_not_finite_is_never_thinned_away() -> None:
    def window(i: int) -> Window:
        loss = math.nan if i == 400 else 1.0
        bad = {"step": i, "what": "loss", "value": "nan"} if i == 400 else None
        return Window(epoch=1, first_step=i, last_step=i, loss_mean=loss, loss_min=loss, loss_max=loss, non_finite=bad)

    held = windows(bounded(tuple(window(i) for i in range(1, 2_000))))
    hit = [w for w in held if w.non_finite]
    assert len(hit) == 1
    assert hit[0].non_finite == {"step": 400, "what": "loss", "value": "nan"}
    assert [math.isnan(v) for v in (hit[0].loss_mean, hit[0].loss_min, hit[0].loss_max)] == [True] * 3


def test_series_are_thinned_each_by_itself() -> None:
    ends = tuple(Epoch(epoch=i, step=10 * i, metrics={"val_loss": 1 / i}) for i in range(1, 1_001))
    rare = Watch(name="coverage", epoch=1, step=0, values={"missing": 1.0})
    often = tuple(Watch(name="finite", epoch=1, step=i, values={"modules": 0.0}) for i in range(5_000))
    held = bounded((rare, *often, *ends))
    assert rare in held
    assert [event.epoch for event in held if isinstance(event, Epoch)][-LAST:] == list(range(1_001 - LAST, 1_001))
    assert len(held) <= 1 + 2 * MOST
    many = bounded(tuple(Watch(name=f"x{i}", epoch=1, step=i, values={}) for i in range(5_000)))
    assert len(many) < 1_000


def test_a_record_that_was_cut_back_is_read_again(tmp_path: Path) -> None:
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(5_000):
            rec.step(loss=1.0)
    follower = BoundedFollower(tmp_path / "run")
    assert follower.read().step == 5_000
    assert follower.thinned
    with lvmcheck.record(tmp_path / "run", resume="auto", start_step=50):
        assert follower.read().step == 50
        assert not follower.thinned


# -- one answer --------------------------------------------------------------------------------------------------------
def curve(after: Callable[[int], float]) -> Callable[[int], float]:
    rng = random.Random(0)
    return lambda step: 2 * math.exp(-step / 4_000) + 0.3 + 0.01 * rng.random() + after(step)


LOOPS = {
    "healthy": curve(lambda _: 0.0),
    "nan_in_the_middle": curve(lambda step: math.nan if step == 9_000 else 0.0),
    "leaps": curve(lambda step: 400.0 if step > 15_000 else 0.0),
    "no_better": lambda step: 1.0 + 0.01 * math.sin(step),
}


@pytest.mark.parametrize("name", LOOPS)
def test_what_is_said_live_is_what_the_whole_record_says(name: str, tmp_path: Path) -> None:
    seen: list[Verdict] = []
    with lvmcheck.record(tmp_path / "run", on_fail=seen.append) as rec:
        for step in range(1, 20_001):
            rec.step(loss=LOOPS[name](step), lr=1e-3)
            if step % 500 == 0:
                rec.epoch(step // 500, val_loss=LOOPS[name](step) + 0.1)
    after = [verdict for verdict in lvmcheck.evaluate(lvmcheck.load(tmp_path / "run")) if verdict.status in BAD]
    assert {(v.check, v.status) for v in seen} == {(v.check, v.status) for v in after}
    assert bool(after) == (name != "healthy")
    assert len(seen) == len({verdict.name for verdict in seen})


def test_a_late_failure_is_seen_while_it_happens(tmp_path: Path) -> None:
    with lvmcheck.record(tmp_path / "run", on_fail="stop") as rec:
        for step in range(1, 20_001):
            rec.step(loss=math.nan if step >= 15_000 else 1 / step)
            if step % 1_000 == 0:
                rec.epoch(step // 1_000, val_loss=1 / step)
            if rec.stop:
                break
    assert 15_000 <= step <= 16_000
    assert (lvmcheck.load(tmp_path / "run").done or {})["status"] == "stopped"


# -- beside a watcher --------------------------------------------------------------------------------------------------
def test_a_watchers_finding_stops_the_loop_and_is_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = nn.Sequential(OrderedDict(body=nn.Linear(4, 8), head=nn.Linear(8, 2)))
    optimizer = torch.optim.Adam(model.body.parameters())
    with lvmcheck.record(tmp_path / "run", on_fail="stop") as rec:
        rec.watch(model, optimizer)
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        assert rec.stop
    lines = [line for line in capfd.readouterr().err.splitlines() if "missing_from_optimizer" in line]
    assert sum("head.weight" in line for line in lines) == 1
    assert str(lvmcheck.load(tmp_path / "run").stopped_where()).endswith("missing_from_optimizer")


def test_a_record_that_is_spoilt_from_outside_stops_the_judge_and_not_the_loop(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with lvmcheck.record(tmp_path / "run", on_fail="warn") as rec:
        rec.step(loss=1.0)
        with (tmp_path / "run" / "events.jsonl").open("a") as file:
            file.write(json.dumps({"event": "nonsense"}) + "\n")
        for epoch in range(1, 4):
            rec.step(loss=1.0)
            rec.epoch(epoch, val_loss=1.0)
        assert rec.epochs == 3
    lines = [line for line in capfd.readouterr().err.splitlines() if "events.jsonl" in line]
    assert lines
    assert "Traceback" not in "".join(lines)
