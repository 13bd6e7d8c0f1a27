"""What a loop may report to the recorder and what it may not, and what the end of a record leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.errors import InputError
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.locks import lock_run, unlock
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.start import record

REFUSED: tuple[tuple[Callable[[Recorder], None], str], ...] = (
    (lambda rec: rec.step(loss="x"), "loss: expected"),
    (lambda rec: rec.step(loss=1.0, accuracy="x"), "accuracy: expected"),
    (lambda rec: rec.step(loss=1.0, grad_norm="x"), "grad_norm: expected"),
    (lambda rec: rec.step(loss=1.0, lr="x"), "lr: expected"),
    (lambda rec: rec.step(loss=1.0, samples=-1), "samples: expected"),
    (lambda rec: rec.step(loss=1.0, samples=1.5), "samples: expected"),
    (lambda rec: rec.step(loss=1.0, terms={"mse": 1.0}), "terms['mse']: expected (weight, value)"),
    (lambda rec: rec.step(loss=1.0, terms={"mse": (1.0, 2.0, 3.0)}), "terms['mse']: expected (weight, value)"),
    (lambda rec: rec.step(loss=1.0, terms={"mse": ("x", 2.0)}), "weight of mse: expected"),
    (lambda rec: rec.step(loss=1.0, terms={"mse": (1.0, "x")}), "mse: expected"),
    (lambda rec: rec.epoch(4), "an epoch after 4, which was reported last, got 4"),
    (lambda rec: rec.epoch(2), "an epoch after 4, which was reported last, got 2"),
    (lambda rec: rec.epoch(True), "epoch: expected an integer from 0"),
    (lambda rec: rec.epoch(-1), "epoch: expected an integer from 0"),
    (lambda rec: rec.epoch(ev.MAX_EPOCH + 1), "epoch: expected an integer from 0"),
    (lambda rec: rec.epoch(10**30), "epoch: expected an integer from 0"),
    (lambda rec: rec.log(loss=1.0, step=0), "step: expected a step of at least 1"),
    (lambda rec: rec.log(loss=1.0, step=True), "step: expected a step of at least 1"),
)


def test_what_is_logged_between_epochs(tmp_path: Path) -> None:
    """At the step that was reported last, or at a later one that is named; the epoch goes on."""
    rec = record(tmp_path / "run", window=5)
    for _ in range(3):
        rec.step(loss=1.0)
    rec.log({"val_loss": 0.5}, val_cosine=0.25)
    rec.log({"val_loss": 0.4}, step=9)
    rec.epoch(0)
    rec.close("finished")
    run = lvmcheck.load(tmp_path / "run")
    logged = [(event.epoch, event.step, event.metrics) for event in run.of(ev.Log)]
    assert logged == [(1, 3, {"val_loss": 0.5, "val_cosine": 0.25}), (1, 9, {"val_loss": 0.4})]
    assert [(w.first_step, w.last_step) for w in run.windows] == [(1, 3)]
    assert [(event.epoch, event.counted_as) for event in run.of(ev.Epoch)] == [(1, 0)]


def test_first_steps_are_windows_of_their_own(tmp_path: Path) -> None:
    record(tmp_path / "run").close("finished")
    (tmp_path / "run" / rundir.EVENTS).unlink()
    rec = Recorder(tmp_path / "run", window=5, early=2)
    rec.begin()
    for _ in range(6):
        rec.step(loss=1.0)
    rec.epoch(ev.MAX_EPOCH)
    rec.close("finished")
    assert lvmcheck.load(tmp_path / "run").last_epoch == ev.MAX_EPOCH
    windows = lvmcheck.load(tmp_path / "run").windows
    assert [(w.first_step, w.last_step) for w in windows] == [(1, 1), (2, 2), (3, 5), (6, 6)]


def test_a_run_bears_the_nonce_that_was_handed_to_its_session(tmp_path: Path) -> None:
    for nonce in ("n" * 32, None):
        folder = tmp_path / str(nonce)
        record(folder).close("finished")
        (folder / rundir.EVENTS).unlink()
        rundir.write_json(folder / rundir.INFO, {"nonce": nonce})
        rec = Recorder(folder)
        rec.begin()
        rec.close("finished")
        (begin,) = lvmcheck.load(folder).of(ev.Begin)
        assert begin.nonce == nonce


def test_the_end_lets_go_of_the_run(tmp_path: Path) -> None:
    rec = record(tmp_path / "run")
    with pytest.raises(InputError, match="another recorder of this process"):
        lock_run(tmp_path / "run")
    rec.close("finished")
    unlock(lock_run(tmp_path / "run"))


def test_what_a_loop_may_not_report(tmp_path: Path) -> None:
    """It is refused where it is reported, and nothing of it is recorded."""
    rec = record(tmp_path / "run", window=1)
    rec.step(loss=1.0, terms={"mse": (1.0, 1.0)}, grad_norm=1, lr=1, samples=2)
    rec.epoch(1)
    rec.epoch(4)
    before = (tmp_path / "run" / rundir.EVENTS).read_bytes()
    for call, said in REFUSED:
        with pytest.raises(InputError) as caught:
            call(rec)
        assert said in str(caught.value)
        assert (tmp_path / "run" / rundir.EVENTS).read_bytes() == before, said
    rec.close("finished")


def test_events_of_another_record_are_counted(tmp_path: Path) -> None:
    """They come after the window that is open, at their own steps and epochs, and the judge is asked after each."""
    lvmcheck.record(tmp_path / "made").close("finished")
    (tmp_path / "run").mkdir()
    asked: list[tuple[int, int, bool]] = []
    ended: list[Recorder] = []
    judge = lambda rec, end: asked.append((rec.steps, rec.epochs, end))  # noqa: E731 - shorter than a function
    rec = Recorder(tmp_path / "run", window=5, judge=judge, at_end=ended.append)
    rec.begin()
    rec.step(loss=1.0)
    rec.forward(ev.Log(t=0.0, epoch=1, step=7, metrics={"val_loss": 0.5}))
    rec.forward(ev.Note(t=0.0, text="a"))
    rec.forward(ev.Epoch(t=0.0, epoch=3, step=6, metrics={}, seconds=1.0))
    rec.log(val_loss=0.5)
    assert asked == [(1, 0, False), (7, 0, False), (7, 0, False), (7, 3, True), (7, 3, False)]
    assert (rec.written, ended) == ((tmp_path / "run" / rundir.EVENTS).stat().st_size, [])
    rec.close("stopped", reason="enough")
    run = lvmcheck.load(tmp_path / "run")
    assert ended == [rec]
    assert [(w.first_step, w.last_step, w.samples) for w in run.windows] == [(1, 1, 0)]
    done = run.done or {}
    assert (done["status"], done["reason"], done["steps"], done["epochs"]) == ("stopped", "enough", 7, 3)
