"""The run directory: torn, cut, changed and hostile files."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lvmcheck
from lvmcheck.errors import InputError
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import parse_line
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.start import record
from lvmcheck.run.view import Run


def made(folder: Path, *, close: bool = True) -> Path:
    """A small run: 3 epochs, 2 windows each."""
    rec = record(folder, config={"epochs": 3}, window=2)
    for epoch in range(1, 4):
        for _ in range(4):
            rec.step(loss=1.0 / (rec.steps + 1), grad_norm=1.0)
        rec.epoch(epoch, val_loss=1.0 / epoch)
    if close:
        rec.close("finished")
    else:
        rec.close("finished")
        (folder / rundir.DONE).unlink()
    return folder


def lines(folder: Path) -> list[bytes]:
    return (folder / rundir.EVENTS).read_bytes().splitlines(keepends=True)


# -- what a crash leaves ---------------------------------------------------------------------------------------------
def test_a_last_line_cut_anywhere_is_dropped_and_counted(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", close=False)
    whole = lines(folder)
    for keep in range(len(whole[-1])):
        (folder / rundir.EVENTS).write_bytes(b"".join(whole[:-1]) + whole[-1][:keep])
        run = lvmcheck.load(folder)
        assert len(run.events) == len(whole) - 1
        assert run.torn == keep
        assert not run.over


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / rundir.EVENTS).write_bytes(b"")
    run = lvmcheck.load(folder)
    assert run.events == ()
    assert not run.over
    assert run.config == {}


@pytest.mark.parametrize("junk", [b"\x00" * 64, b"not json\n", b'{"event":"epoch"}\n', b"\n", b"\xff\xfe\n"], ids=repr)
def test_a_corrupt_line_is_named_by_file_and_line(tmp_path: Path, junk: bytes) -> None:
    folder = made(tmp_path / "run", close=False)
    whole = lines(folder)
    (folder / rundir.EVENTS).write_bytes(b"".join([*whole[:4], junk.rstrip(b"\n") + b"\n", *whole[4:]]))
    with pytest.raises(InputError) as caught:
        lvmcheck.load(folder)
    assert str(caught.value).startswith(f"{folder / rundir.EVENTS}:5: ")
    assert caught.value.line == 5
    assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_a_changed_byte_is_an_error_or_another_valid_run(
    tmp_path_factory: pytest.TempPathFactory, place: float, byte: int
) -> None:
    """Without a completion record nothing more can be known; never another exception."""
    folder = made(tmp_path_factory.mktemp("runs") / "run", close=False)
    raw = bytearray((folder / rundir.EVENTS).read_bytes())
    raw[int(place * len(raw))] = byte
    (folder / rundir.EVENTS).write_bytes(raw)
    try:
        lvmcheck.load(folder)
    except InputError as problem:
        assert rundir.EVENTS in str(problem)  # noqa: PT017 - some changes leave a valid run


# -- what nobody may change ------------------------------------------------------------------------------------------
CHANGES = {
    "appended": lambda raw: raw + raw.splitlines(keepends=True)[-1],
    "last line removed": lambda raw: b"".join(raw.splitlines(keepends=True)[:-1]),
    "digit changed": lambda raw: raw.replace(b'"val_loss":1.0', b'"val_loss":0.1'),
    "emptied": lambda raw: b"",  # noqa: ARG005
    "torn tail": lambda raw: raw + b'{"event":"note"',
}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_events_that_changed_after_the_end_are_refused(tmp_path: Path, change: str) -> None:
    folder = made(tmp_path / "run")
    before = (folder / rundir.EVENTS).read_bytes()
    after = CHANGES[change](before)
    assert after != before
    (folder / rundir.EVENTS).write_bytes(after)
    with pytest.raises(InputError, match=r"does not match its completion record|expected an epoch after 3"):
        lvmcheck.load(folder)


def test_a_half_written_completion_record_is_none(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    text = (folder / rundir.DONE).read_bytes()
    for cut in (0, 1, len(text) // 2, len(text) - 3):
        (folder / rundir.DONE).write_bytes(text[:cut])
        assert not lvmcheck.load(folder).over


# -- reading while it grows ------------------------------------------------------------------------------------------
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=12))
def test_following_in_any_pieces_is_loading(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    source = made(tmp_path_factory.mktemp("runs") / "run")
    raw, target = (source / rundir.EVENTS).read_bytes(), source.parent / "growing"
    target.mkdir()
    follower, at = rundir.Follower(target), 0
    assert follower.read().events == ()
    with (target / rundir.EVENTS).open("ab") as file:
        for cut in [*cuts, len(raw)]:
            file.write(raw[at : at + cut])
            file.flush()
            at += cut
            run = follower.read()
            whole = raw[:at].rfind(b"\n") + 1
            assert len(run.events) == raw[:whole].count(b"\n")
    (target / rundir.INFO).write_bytes((source / rundir.INFO).read_bytes())
    (target / rundir.DONE).write_bytes((source / rundir.DONE).read_bytes())
    run = follower.read()
    assert run.finished
    assert run.events == lvmcheck.load(source).events
    assert run.planned_epochs == 3, "run.json that comes late is read"


def test_a_run_that_was_cut_back_is_read_again(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", close=False)
    follower = rundir.Follower(folder)
    assert follower.read().last_epoch == 3
    whole = lines(folder)
    (folder / rundir.EVENTS).write_bytes(b"".join(whole[:4]))
    assert follower.read().last_epoch == 1
    assert len(follower.read().events) == 4


def test_a_death_is_part_of_the_run(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", close=False)
    follower = rundir.Follower(folder)
    assert not follower.read().over
    dead = follower.read(death="trainer exited 0 before its completion record")
    assert dead.over
    assert not dead.finished
    assert "died after epoch 3 of 3" in dead.stopped_where()


# -- bad places ------------------------------------------------------------------------------------------------------
def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a run directory, got no such directory"):
        lvmcheck.load(tmp_path / "none")
    with pytest.raises(InputError, match=r"got a directory without events\.jsonl"):
        lvmcheck.load(tmp_path)
    (tmp_path / rundir.EVENTS).mkdir()
    with pytest.raises(InputError, match=r"got a directory without events\.jsonl"):
        lvmcheck.load(tmp_path)


@pytest.mark.own_process
def test_a_line_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "run", close=False)
    monkeypatch.setattr(rundir, "MAX_LINE", 40)
    with pytest.raises(InputError, match="expected at most 40 bytes"):
        lvmcheck.load(folder)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", close=False)
    os.truncate(folder / rundir.EVENTS, rundir.MAX_EVENTS + 1)  # sparse: takes no space
    with pytest.raises(InputError, match="expected at most 2,147,483,648 bytes"):
        lvmcheck.load(folder)


# -- JSON files ------------------------------------------------------------------------------------------------------
def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    rundir.write_json(path, {"n": 0, "pad": ""})
    stop, seen, broken = threading.Event(), [0], []

    def read() -> None:
        while not stop.is_set():
            body = read_json(path)
            if body is None or len(str(body["pad"])) != body["n"]:
                broken.append(body)
            seen[0] += 1

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(60):
        rundir.write_json(path, {"n": n, "pad": "x" * n})
    stop.set()
    reader.join(timeout=30)
    assert seen[0] > 0
    assert broken == []
    assert [file.name for file in tmp_path.iterdir()] == ["verdicts.json"], "no temporary file stays"


def test_json_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        rundir.write_json(tmp_path / "none" / "done.json", {})


@pytest.mark.parametrize("text", ["", "[1]", "{", "3", "\x00"], ids=repr)
def test_what_is_no_json_object_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert read_json(tmp_path / "x.json") is None
    assert read_json(tmp_path / "none.json") is None


# -- cutting back ----------------------------------------------------------------------------------------------------
def test_nothing_to_continue_from_changes_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert rundir.cut_to_checkpoint(folder) is None
    assert rundir.cut_to_checkpoint(tmp_path / "none") is None
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_only_a_checkpoint_that_is_there_counts(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    rec = record(folder)
    for epoch, kept in ((1, True), (2, False)):
        rec.epoch(epoch, val_loss=1.0)
        if kept:
            (folder / "checkpoints" / f"last-{epoch}").mkdir(parents=True)
        rec.checkpoint("last", f"checkpoints/last-{epoch}", epoch=epoch, step=epoch)
        rec.checkpoint("best", f"checkpoints/last-{epoch}", epoch=epoch, step=epoch)
    rec.close("stopped", reason="a test")
    rundir.write_json(folder / rundir.STOP, {"reason": "a test"})
    assert rundir.cut_to_checkpoint(folder) == folder / "checkpoints" / "last-1"
    events = [parse_line(line) for line in lines(folder)]
    assert isinstance(events[-1], ev.Checkpoint)
    assert (events[-1].name, events[-1].epoch) == ("last", 1)
    assert not (folder / rundir.DONE).exists()
    assert not (folder / rundir.STOP).exists()
    assert json.loads((folder / rundir.INFO).read_text())["format"] == ev.FORMAT


def test_the_step_of_a_run_is_exact_however_much_was_said_since() -> None:
    said: list[ev.Event] = [ev.Epoch(epoch=1, step=700, metrics={})]
    said += [ev.Note(text=f"note {number}") for number in range(1000)]
    assert Run(events=tuple(said)).step == 700
    assert Run(events=(*said, ev.Probe(name="p", epoch=2, step=701, values={}), *said[1:])).step == 701
    assert Run().step == 0
