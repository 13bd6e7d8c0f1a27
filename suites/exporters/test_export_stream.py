"""Events on their way to a logger: which step and epoch each stands at, under which name, and text that stays text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from lvmcheck.checks.finding import Status
from lvmcheck.exporters.entry import Entry, Position, Scalars, TextTable, flat
from lvmcheck.exporters.export_run import digest_of, export_run, name_of, verdict_of
from lvmcheck.exporters.stream import Stream
from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from lvmcheck.run.event_lines import to_line
from suites.exporters.export_kit import recorded
from suites.report.report_kit import verdict


def entries(*events: ev.Event) -> list[Entry]:
    stream = Stream(1000.0)
    return [entry for event in events for entry in stream.entries(event)]


def axes(found: list[Entry]) -> list[tuple[int, int]]:
    return [(entry.place.step, entry.place.epoch) for entry in found]


def test_a_run_without_steps_is_laid_out_by_epoch() -> None:
    epochs = [ev.Epoch(epoch=epoch, step=0, metrics={"val_loss": 0.5}) for epoch in (1, 12, 20)]
    assert axes(entries(*epochs)) == [(1, 1), (12, 12), (20, 20)]


def test_a_run_with_steps_is_laid_out_by_them() -> None:
    window = ev.Window(epoch=1, first_step=1, last_step=50, loss_mean=1.0, loss_min=1.0, loss_max=1.0)
    found = entries(
        ev.Evaluation(name="purity", metrics={"difference": 0.0}),
        window,
        ev.Probe(name="halting", epoch=1, step=60, values={"mean": 2.0}),
        ev.Epoch(epoch=1, step=70, metrics={"val_loss": 0.5}),
        ev.Probe(name="halting", epoch=2, step=70, values={"mean": 2.0}),
        ev.Checkpoint(name="best", path="checkpoints/best", epoch=1, step=70),
        ev.Evaluation(name="reload", metrics={"val_loss": 0.5}),
    )
    # What states no place stands where the run has come to; epochs of numbers never go back.
    assert axes(found) == [(0, 1), (50, 1), (60, 1), (70, 1), (70, 2), (70, 1), (70, 2)]
    times = [entry.place.time for entry in found]
    assert all(after - before > 0.0009 for before, after in pairwise(times))


def test_what_was_not_measured_is_absent() -> None:
    window = ev.Window(epoch=1, first_step=1, last_step=5, loss_mean=1.0, loss_min=1.0, loss_max=1.0)
    (entry,) = entries(window)
    assert isinstance(entry, Scalars)
    assert dict(entry.values) == {"window/loss_mean": 1.0, "window/loss_min": 1.0, "window/loss_max": 1.0}
    assert entries(ev.Begin(), ev.Declare(metrics=("val_loss",))) == []


def test_measurements_of_one_name_at_one_step_are_told_apart() -> None:
    twice = [ev.Evaluation(name="reload", metrics={"val_loss": value}) for value in (0.5, 0.75)]
    found = entries(*twice, ev.Epoch(epoch=1, step=9), twice[0])
    names = [name for entry in found if isinstance(entry, Scalars) for name in entry.values]
    assert names == ["evaluation/reload/val_loss", "evaluation/reload#2/val_loss", "evaluation/reload/val_loss"]


def test_generated_text_cannot_format_the_page() -> None:
    (entry,) = entries(
        ev.Sample(name="greedy", epoch=1, step=5, prompt="a\n# b\n```", text="</pre>\x1b[31m", answer="")
    )
    assert isinstance(entry, TextTable)
    lines = entry.markdown().splitlines()
    said = [line for line in lines if line and not line.startswith("**")]
    assert said == ["    a", "    # b", "    ```", r"    </pre>\x1b[31m"]


def test_several_rows_are_aligned() -> None:
    place = Position(step=0, epoch=1, time=0.0)
    table = TextTable(place=place, tag="t", columns=("name", "value"), rows=(("dim", "4"), ("a\nb", "5")))
    assert table.markdown() == "    name  value\n    dim   4\n    a b   5"


def test_nested_keys_are_dotted() -> None:
    nested = {"loss": {"mse": 1.0, "deep": {"x": [1]}}, "empty": {}}
    assert flat(nested) == {"loss.mse": 1.0, "loss.deep.x": [1], "empty": {}}


def test_the_identity_stays_and_the_digest_does_not(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run", close=False)
    before = load(path)
    with (path / "events.jsonl").open("a") as file:
        file.write(to_line(ev.Note(text="one more")) + "\n")
    after = load(path)
    assert export_run(before, path).identity == export_run(after, path).identity
    assert digest_of(before, ()) != digest_of(after, ()) == digest_of(load(path), ())
    assert name_of(path) == name_of(path / "events.jsonl") == "run"


@pytest.mark.parametrize(
    ("statuses", "text"),
    [
        ((), None),
        (("not applicable",), None),
        (("passed", "not applicable"), "passed: 1 of 2"),
        (("passed", "pending"), "passed: 1 of 2"),
        (("warning", "not recorded"), "passed: 1 of 2"),
        (("passed", "failed", "error"), "failed: check1, check2"),
    ],
)
def test_verdicts_in_words(statuses: tuple[str, ...], text: str | None) -> None:
    assert verdict_of([verdict(f"check{i}", Status(status)) for i, status in enumerate(statuses)]) == text
