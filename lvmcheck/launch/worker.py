"""The trainer's process: ``python -m lvmcheck.launch.worker RUN_DIRECTORY PARENT_PID|0 [CHECKPOINT]``.

Imports the trainer, hands it its config and a recorder, and writes the completion record last. Whatever happens here,
the parent believes only that record.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock

from lvmcheck.errors import InputError, nearest
from lvmcheck.launch.elastic import RANKS
from lvmcheck.launch.engines._files import TASK
from lvmcheck.launch.environment import tell_of_withheld
from lvmcheck.launch.executed import executed
from lvmcheck.launch.heartbeat import Beat
from lvmcheck.launch.inputs import RECORD, executed_texts, write_inputs
from lvmcheck.launch.locks import trainer_lock
from lvmcheck.launch.opened import Opened
from lvmcheck.launch.same_code import AFAR, check_same
from lvmcheck.launch.sought import Sought
from lvmcheck.launch.stacks import ALL_STACKS, STACKS, WHERE
from lvmcheck.run import directory as rundir
from lvmcheck.run import ranks
from lvmcheck.run.info import versions
from lvmcheck.run.rank_ends import await_others, say_who
from lvmcheck.run.ranks import Meeting
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.silent import SilentRecorder
from lvmcheck.run.start import look_for_models
from lvmcheck.text.say import complain

JUDGE_WAIT = 5.0
"""Seconds that training waits for the live judge before it goes on without an answer."""

MESSAGE = 2000
"""Characters of an exception's own words that are passed on; the log has all of them."""

Trainer = Callable[[dict[str, Any], Recorder], None]


def main(arguments: list[str]) -> int:
    """Run one trainer; returns the exit code (0 only after the completion record was written)."""
    folder = Path(arguments[0])
    resume = Path(arguments[2]) if len(arguments) > 2 else None
    faulthandler.enable(all_threads=False)  # the last lines of the output are shown: those of the thread that fell
    faulthandler.register(WHERE, all_threads=False)
    rank, size = _place()
    stacks = (folder / STACKS).open("wb" if rank == 0 else "ab")
    faulthandler.register(ALL_STACKS, file=stacks, all_threads=True)
    beats: list[Beat] = []
    _die_with_parent(int(arguments[1]) or os.getppid(), beats)
    lock = FileLock(trainer_lock(folder))  # held until this process ends, however the parent has ended
    try:
        if rank:
            _follow(folder, resume, Meeting(folder, rank, size))
            return 0
        lock.acquire(timeout=10.0)
        if os.environ.get(AFAR) and (read_json(folder / TASK) or {}).get("task") != os.environ[AFAR]:
            return 1  # late: the session has taken this task for lost, and the run goes on elsewhere
        info = read_json(folder / rundir.INFO) or {}
        if os.environ.get(AFAR):
            check_same(info, (read_json(folder / TASK) or {})["asked"])
        asked: list[str] = []
        hook = Opened(folder, Path.cwd(), gated=bool(info.get("nonce")))
        tell_of_withheld(asked.append, hook.looks.variable)
        hook.watch()
        meeting = Meeting(folder, 0, size)
        recorder = Recorder(
            folder, window=window_of(info["config"]), judge=wait_for_judge, resume=resume, meeting=meeting
        )
        beats.append(Beat(folder, lambda: recorder.steps))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopper(recorder))
        run_trainer(str(info["trainer"]), dict(info["config"]), recorder, outside=True, asked=asked, sought=hook.sought)
    except BaseException as problem:
        write_failure(folder, problem)
        raise SystemExit(1) from None
    return 0


def _place() -> tuple[int, int]:
    """Rank and number of ranks, where this process is one of several (:mod:`lvmcheck.launch.elastic`)."""
    return (ranks.rank(), ranks.world()) if os.environ.get(RANKS) else (0, 1)


def _follow(folder: Path, resume: Path | None, meeting: Meeting) -> None:
    """Train as another rank than 0, which writes the run."""
    info = read_json(folder / rundir.INFO) or {}
    config = dict(info["config"])
    recorder = SilentRecorder(
        folder, meeting=meeting, continued=resume is not None, window=window_of(config), resume=resume
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopper(recorder))
    say_who(meeting)
    with recorder:
        train = load_trainer(str(info["trainer"]))
        train(config, look_for_models(recorder))


def window_of(config: Mapping[str, Any]) -> int:
    """Steps summarised in one event.

    Raises:
        InputError: not an integer >= 1.
    """
    window = config.get("window", 50)
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise InputError("config", f"expected an integer >= 1, got {window!r}", key="window")
    return window


def run_trainer(
    trainer: str,
    config: dict[str, Any],
    recorder: Recorder,
    *,
    outside: bool = False,
    asked: Sequence[str] | None = None,
    sought: Sought | None = None,
) -> None:
    """Train in this process and write the completion record.

    Args:
        asked: what was said of environment variables that this process did not get; None where nothing that the
            trainer reads is noted, as in a pytest process.
        sought: the modules that were looked for.
        outside: whether files outside the working directory count as executed by the trainer.
    """
    train = load_trainer(trainer)
    recorder.begin()
    train(config, look_for_models(recorder))
    if recorder.meeting is not None and os.environ.get(RANKS):
        stops = {"whole": not recorder.stop_reason, "decided": recorder.asked_to_stop}
        await_others(recorder.meeting, recorder.steps, recorder.epochs, **stops)
    info = read_json(recorder.path / rundir.INFO) or {}
    imported = executed(Path.cwd(), outside=outside, bytecode=bool(info.get("nonce")))
    read = {}
    if asked is not None:
        for text in asked:
            recorder.note(text)
        imported |= executed_texts(recorder.path)
        stated = bool(info.get("states_inputs"))
        read = {RECORD: write_inputs(recorder.path, Path.cwd(), stated=stated, sought=sought)}
    rundir.write_json(recorder.path / rundir.INFO, {**info, "versions": versions(), "executed": imported, **read})
    recorder.close("stopped" if recorder.stop_reason else "finished", reason=recorder.stop_reason)


def load_trainer(trainer: str) -> Trainer:
    """``"package.module:function"`` as a function.

    Raises:
        InputError: the module cannot be imported or has no such function.
    """
    module_name, _, attribute = trainer.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as problem:
        where = f" ({problem.name})" if problem.name and problem.name != module_name else ""
        raise InputError(f"trainer {trainer!r}", f"cannot be imported{where}: {problem}", key="trainer") from problem
    train = getattr(module, attribute, None)
    if not callable(train):
        known = [name for name, item in vars(module).items() if callable(item) and not name.startswith("_")]
        problem_text = f"{module_name} has no function {attribute!r}"
        raise InputError(f"trainer {trainer!r}", problem_text, key="trainer", fix=nearest(attribute, known))
    return train  # type: ignore[no-any-return]


def write_failure(folder: Path, problem: BaseException) -> None:
    """Tell the parent in a file what the log would only say in prose; of several ranks the first one tells it."""
    if os.environ.get(RANKS) and (folder / rundir.FAILURE).exists():
        complain(*"".join(traceback.format_exception(problem)).splitlines())
        return
    body: dict[str, Any] = {"type": type(problem).__name__, "message": str(problem)[:MESSAGE]}
    text = str(problem)
    if isinstance(problem, InputError):
        body["input"] = problem.to_json()
    else:
        body["trace"] = text = "".join(traceback.format_exception(problem))
    try:
        rundir.write_json(folder / rundir.FAILURE, body)
    except InputError as full:
        text += f"\n{full}"
    with contextlib.suppress(OSError, ValueError):  # a trainer may have closed its own output
        complain(*text.splitlines())


def wait_for_judge(recorder: Recorder, waits: bool) -> None:
    """Where training ``waits`` (data known, epoch ended), let the parent judge before the next step is taken."""
    if not waits:
        return
    judged = recorder.path / rundir.JUDGED
    limit = time.monotonic() + JUDGE_WAIT
    while time.monotonic() < limit and not recorder.stop:
        try:
            if int(judged.read_bytes() or b"0") >= recorder.written:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.002)


def _stopper(recorder: Recorder) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature signals want
        recorder.ask_to_stop(signal.Signals(number).name)

    return stop


def _die_with_parent(parent: int, beats: Sequence[Beat]) -> None:
    """End soon after the parent has gone, however it went: first ask, then insist. Until then, give signs of life."""

    def watch() -> None:
        # The main thread is asked where it is, not this one.
        signal.pthread_sigmask(signal.SIG_BLOCK, {WHERE, ALL_STACKS})
        while os.getppid() == parent:
            for beat in beats:
                beat()
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(8.0)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)  # with whatever it started
        os._exit(70)

    threading.Thread(target=watch, name="lvmcheck-parent-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
