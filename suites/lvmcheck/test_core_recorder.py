"""The recorder: what a loop reports is on disk, whole, whatever happens to the loop."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lvmcheck
from lvmcheck.errors import InputError
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.info import move_aside
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.start import record


def loop(rec: Recorder, *, epochs: int = 2, steps: int = 7) -> None:
    """A small training loop that minimises nothing."""
    for epoch in range(1, epochs + 1):
        for i in range(steps):
            loss = 1.0 / (rec.steps + 1)
            rec.step(loss=loss, terms={"mse": (1.0, loss)}, grad_norm=0.5 + i, lr=1e-3, samples=4)
            if rec.stop:
                return
        rec.epoch(epoch, val_loss=1.0 / epoch, val_cosine=1 - 1.0 / epoch, skipped=None)


def test_three_lines_make_a_run(tmp_path: Path) -> None:
    config = {"epochs": 2, "lr": 1e-3, "path": tmp_path}
    with lvmcheck.record(tmp_path / "run", config=config, seed=3, window=5) as rec:
        rec.data(name="twin", fingerprint="ab", facts={"dim": 768})
        rec.model(kind="amn", parameters=1_510_912)
        rec.declare(["val_loss", "val_cosine"])
        loop(rec)
        rec.probe("term_grad_norm", {"mse": 1.0})
        rec.evaluation("reload", {"val_cosine": 0.5}, about="checkpoint best")
        rec.note("the end")
    run = lvmcheck.load(tmp_path / "run")
    assert run.finished
    assert run.seed == 3
    assert run.planned_epochs == 2
    assert run.last_epoch == 2
    assert run.step == 14
    places = [(w.epoch, w.first_step, w.last_step) for w in run.windows]
    assert places == [(1, 1, 5), (1, 6, 7), (2, 8, 10), (2, 11, 14)], "a window never crosses the end of an epoch"
    assert run.metric_names == ("val_loss", "val_cosine"), "what is None was not measured"
    assert run.series("val_loss").values.tolist() == [1.0, 0.5]
    assert run.windows[0].terms["mse"].mean == pytest.approx(run.windows[0].loss_mean)
    assert run.windows[0].samples == 20
    done = json.loads((tmp_path / "run" / "done.json").read_text())
    assert done["status"] == "finished"
    assert done["bytes"] == (tmp_path / "run" / "events.jsonl").stat().st_size
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["config"]["lr"] == 1e-3
    assert info["versions"]["lvmcheck"] == lvmcheck.__version__


def test_a_curriculum_and_its_samples_are_recorded_where_they_happen(tmp_path: Path) -> None:
    with lvmcheck.record(tmp_path / "run", window=5) as rec:
        rec.model(kind="cognate", parameters=7, components={"embedding": 4, "memory": 3})
        for index in (0, 1):
            rec.stage(index=index, name=f"stage {index}", fingerprint=str(index), records={"arithmetic": 10})
            for _ in range(3):
                rec.step(loss=1.0)
            rec.sample("greedy", prompt="Q: 1 + 1\nA:", text=" 2" * 9000, answer="2", dataset="arithmetic")
            rec.epoch(index + 1)
    run = lvmcheck.load(tmp_path / "run")
    assert run.of(ev.Model)[0].components == {"embedding": 4, "memory": 3}
    assert [(s.index, s.epoch, s.step, s.records) for s in run.of(ev.Stage)] == [
        (0, 1, 0, {"arithmetic": 10}),
        (1, 2, 3, {"arithmetic": 10}),
    ]
    assert [(s.epoch, s.step, len(s.text), s.answer) for s in run.of(ev.Sample)] == [
        (1, 3, 4000, "2"),
        (2, 6, 4000, "2"),
    ]
    assert run.step == 6


@pytest.mark.parametrize(("rule", "planned"), [({"patience": 1}, 2), (None, 5)])
def test_a_run_that_ends_early_by_its_own_rule_planned_no_more(
    tmp_path: Path, rule: dict[str, int] | None, planned: int
) -> None:
    with lvmcheck.record(tmp_path / "run", config={"epochs": 5, "early_stop": rule}) as rec:
        loop(rec)
        rec.early("validation no longer improves")
    run = lvmcheck.load(tmp_path / "run")
    assert run.planned_epochs == planned
    assert run.of(ev.Early)[0].epoch == 2


@pytest.mark.own_process
def test_steps_are_gathered_and_each_line_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = os.write

    def spy(fd: int, data: bytes) -> int:
        written.append(bytes(data))
        return real(fd, data)

    rec = record(tmp_path / "run", window=50)
    monkeypatch.setattr(os, "write", spy)
    for _ in range(49):
        rec.step(loss=1.0)
    assert written == [], "nothing is written inside a window"
    rec.step(loss=1.0)
    assert len(written) == 1
    rec.epoch(1, val_loss=0.5)
    rec.close("finished")
    lines = [data for data in written if data.startswith(b'{"event"')]
    assert len(lines) == 2
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)


def test_a_window_never_mixes_steps_with_different_terms(tmp_path: Path) -> None:
    with record(tmp_path / "run", window=10) as rec:
        for i in range(10):
            terms = {"mse": (1.0, 0.5)} if i < 4 else {"mse": (1.0, 0.5), "aux": (0.1, 2.0)}
            rec.step(loss=0.5, terms=terms)
    windows = lvmcheck.load(tmp_path / "run").windows
    assert [(set(w.terms), w.first_step, w.last_step) for w in windows] == [({"mse"}, 1, 4), ({"mse", "aux"}, 5, 10)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 12))
def test_every_step_is_in_exactly_one_window(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], window: int
) -> None:
    folder = tmp_path_factory.mktemp("runs") / "run"
    with record(folder, window=window) as rec:
        for epoch, count in enumerate(steps, start=1):
            for _ in range(count):
                rec.step(loss=float(rec.steps), samples=1)
            rec.epoch(epoch)
    run = lvmcheck.load(folder)
    covered = [step for w in run.windows for step in range(w.first_step, w.last_step + 1)]
    assert covered == list(range(1, sum(steps) + 1))
    assert sum(w.samples for w in run.windows) == sum(steps)
    total = sum(w.loss_mean * (w.last_step - w.first_step + 1) for w in run.windows)
    assert math.isclose(total, sum(range(sum(steps))), rel_tol=1e-9, abs_tol=1e-9)
    assert run.step == sum(steps)


def test_nan_is_recorded_as_nan(tmp_path: Path) -> None:
    with record(tmp_path / "run", window=2) as rec:
        rec.step(loss=1.0)
        rec.step(loss=math.nan)
        rec.epoch(1, val_loss=math.inf)
    run = lvmcheck.load(tmp_path / "run")
    assert run.windows[0].non_finite == {"step": 2, "what": "loss", "value": "nan"}
    assert run.series("val_loss").values.tolist() == [math.inf]


# -- stopping ------------------------------------------------------------------------------------------------------
def test_the_stop_file_stops_at_the_next_step(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with record(folder, window=50) as rec:
        for i in range(100):
            rec.step(loss=1.0)
            if i == 9:
                rundir.write_json(folder / rundir.STOP, {"reason": "cosine_floor[train_cosine@1] failed"})
            if rec.stop:
                break
        assert rec.stop_reason == "cosine_floor[train_cosine@1] failed"
        assert rec.stop, "and stays"
    run = lvmcheck.load(folder)
    assert [event.step for event in run.of(ev.Stop)] == [10], "said once, at the step where it was noticed"
    assert run.windows[-1].last_step == 10, "the steps before the stop are not lost"
    assert run.over
    assert not run.finished
    assert run.stopped_where() == "run stopped at step 10 by cosine_floor[train_cosine@1] failed"


def test_a_stop_asked_for_in_a_signal_handler_writes_nothing_there(tmp_path: Path) -> None:
    rec = record(tmp_path / "run")
    before = rec.written
    rec.ask_to_stop("SIGTERM")
    assert rec.written == before
    assert rec.stop
    assert rec.written > before
    rec.close("stopped", reason=rec.stop_reason)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RuntimeError("boom"), "failed", "RuntimeError: boom"),
        (KeyboardInterrupt(), "interrupted", "the keyboard"),
        (SystemExit(0), "failed", "SystemExit: 0"),
    ],
    ids=["crash", "ctrl-c", "exit-0"],
)
def test_how_a_loop_ended_is_said(tmp_path: Path, error: BaseException, status: str, reason: str) -> None:
    with pytest.raises(type(error)), record(tmp_path / "run") as rec:  # noqa: PT012 - the loop is what raises
        rec.step(loss=1.0)
        raise error
    run = lvmcheck.load(tmp_path / "run")
    assert run.done is not None
    assert (run.done["status"], run.done["reason"]) == (status, reason)
    assert run.over
    assert not run.finished
    assert len(run.windows) == 1, "the open window is kept"


def test_the_judge_is_asked_after_each_line_that_can_decide(tmp_path: Path) -> None:
    lvmcheck.record(tmp_path / "made").close("finished")
    (tmp_path / "run").mkdir()
    asked: list[tuple[int, bool]] = []
    rec = Recorder(tmp_path / "run", window=5, judge=lambda recorder, end: asked.append((recorder.steps, end)))
    rec.begin()
    loop(rec, epochs=1, steps=10)
    assert asked == [(5, False), (10, False), (10, True)]
    rec.close("finished")


# -- misuse and broken places ----------------------------------------------------------------------------------------
def test_nothing_is_recorded_after_the_end(tmp_path: Path) -> None:
    rec = record(tmp_path / "run")
    rec.close("finished")
    rec.close("failed")  # the first word stands
    with pytest.raises(RuntimeError, match="closed"):
        rec.note("too late")
    run = lvmcheck.load(tmp_path / "run")
    assert run.finished


def test_a_directory_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    for _ in range(2):
        record(tmp_path / "run", replace=True).close("finished")
    with pytest.raises(InputError, match="already holds a run") as caught:
        record(tmp_path / "run")
    assert "replace=True" in str(caught.value)
    record(tmp_path / "run", replace=True).close("finished")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.1", "run.2"]
    assert lvmcheck.load(tmp_path / "run.1").finished
    assert move_aside(tmp_path / "run").name == "run.3"


def test_a_window_has_at_least_one_step(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="window: expected at least 1 step, got 0"):
        record(tmp_path / "run", window=0)


def test_a_place_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match="cannot be written") as caught:
            record(place)
        assert str(place) in str(caught.value)
        assert "MB free" in str(caught.value)


FULL = """
import resource, sys
import lvmcheck
from lvmcheck.errors import InputError
folder = sys.argv[1]
rec = lvmcheck.record(folder, window=1)
rec.note("x" * 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    for i in range(10_000):
        rec.step(loss=1.0 / 3.0)
except InputError as problem:
    print(rec.steps, problem)
    sys.exit(3)
"""


def test_a_full_disk_is_one_clear_error_and_keeps_what_was_written(tmp_path: Path) -> None:
    """RLIMIT_FSIZE refuses writes as a full disk does: the last one is short, the next one fails."""
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(folder)], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    steps, message = done.stdout.split(" ", 1)
    assert message.startswith(f"{folder}/events.jsonl: cannot be written: ")
    raw = (folder / "events.jsonl").read_bytes()
    assert raw.endswith(b"\n"), "no half line stays behind"
    run = lvmcheck.load(folder)
    assert run.torn == 0
    assert run.step == int(steps) - 1, "every step but the refused one is there"


CRASH = """
import sys
import lvmcheck
rec = lvmcheck.record(sys.argv[1], window=3)
while True:
    rec.step(loss=0.5, terms={"mse": (1.0, 0.5)}, grad_norm=1.0)
    if rec.steps % 30 == 0:
        rec.epoch(rec.steps // 30, val_loss=0.5)
        print(rec.steps, flush=True)
"""


def test_a_killed_loop_leaves_a_readable_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    child = subprocess.Popen([sys.executable, "-c", CRASH, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(5):
        said = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=90)
    child.stdout.close()
    run = lvmcheck.load(folder)
    assert not run.over, "nobody wrote a completion record"
    assert run.step >= said
    assert run.last_epoch >= 5
    assert run.windows[-1].last_step - run.windows[0].first_step + 1 == sum(
        w.last_step - w.first_step + 1 for w in run.windows
    )


# -- resuming --------------------------------------------------------------------------------------------------------
def test_a_resumed_run_reads_as_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(RuntimeError), record(folder, window=5) as rec:  # noqa: PT012 - the loop is what raises
        for epoch in (1, 2):
            for _ in range(10):
                rec.step(loss=1.0)
            rec.epoch(epoch, val_loss=1.0)
            saved = folder / "checkpoints" / f"last-{epoch}"
            saved.mkdir(parents=True)
            rec.checkpoint("last", saved.relative_to(folder), epoch=epoch, step=rec.steps)
        for _ in range(7):
            rec.step(loss=math.nan)
        raise RuntimeError("boom")
    crashed = lvmcheck.load(folder)
    assert crashed.step == 27

    assert rundir.cut_to_checkpoint(folder) == folder / "checkpoints" / "last-2"
    again = Recorder(folder, window=5, resume=folder / "checkpoints" / "last-2")
    again.begin()
    assert (again.steps, again.epochs) == (20, 2)
    for _ in range(10):
        again.step(loss=0.5)
    again.epoch(3, val_loss=0.5)
    again.close("finished")

    run = lvmcheck.load(folder)
    assert run.finished
    assert run.step == 30
    assert [w.first_step for w in run.windows] == [1, 6, 11, 16, 21, 26]
    assert run.series("val_loss").values.tolist() == [1.0, 1.0, 0.5]
    assert [begin.resumed_at_step for begin in run.of(ev.Begin)] == [None, 20]
    assert [event.t for event in run.events] == sorted(event.t for event in run.events), "one clock"


def test_reporting_a_step_reads_no_tensor(tmp_path: Path) -> None:
    """The loop's tensors stay on their device until the window is full."""
    torch = pytest.importorskip("torch")

    class Watched(torch.Tensor):  # type: ignore[misc, name-defined]
        reads = 0

        def __float__(self) -> float:
            Watched.reads += 1
            return float(self.item())

        def tolist(self) -> list[float]:
            Watched.reads += 1
            return list(super().tolist())

    rec = record(tmp_path / "run", window=8)
    loss = torch.tensor(0.5).as_subclass(Watched)
    for _ in range(7):
        rec.step(loss=loss, terms={"mse": (1.0, loss)})
        assert Watched.reads == 0
    rec.step(loss=loss, terms={"mse": (1.0, loss)})
    assert Watched.reads == 2, "one read for the losses, one for the term"
    rec.close("finished")


def test_events_are_readable_while_they_are_written(tmp_path: Path) -> None:
    rec = record(tmp_path / "run", window=2)
    follower = rundir.Follower(tmp_path / "run")
    for epoch in range(1, 4):
        loop_steps = rec.steps
        rec.step(loss=1.0)
        rec.step(loss=1.0)
        rec.epoch(epoch, val_loss=1.0 / epoch)
        run = follower.read()
        assert (run.last_epoch, run.step) == (epoch, loop_steps + 2)
        assert not run.over
    rec.close("finished")
    assert follower.read().finished
