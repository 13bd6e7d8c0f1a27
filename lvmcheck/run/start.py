"""``lvmcheck.record``: starts, replaces or continues the record of any training loop."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from lvmcheck.errors import InputError
from lvmcheck.run import directory as rundir
from lvmcheck.run.event_lines import EventError, parse_line
from lvmcheck.run.events_file import written_events
from lvmcheck.run.info import as_json, make_run, move_aside
from lvmcheck.run.locks import lock_run, refuse_written, unlock
from lvmcheck.run.ranks import Meeting, rank, world
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.silent import SilentRecorder
from lvmcheck.run.watching import EARLY, WINDOW


def record(
    path: str | os.PathLike[str],
    *,
    config: Mapping[str, Any] | None = None,
    seed: int | None = None,
    window: int | None = None,
    replace: bool = False,
    resume: Literal["auto"] | None = None,
    start_step: int | None = None,
    suite: str | os.PathLike[str] | None = None,
    on_fail: Literal["stop", "warn"] | Callable[[Any], None] | None = None,
    watch: bool = True,
) -> Recorder:
    """Start recording a run of any loop into the directory ``path``, and watch the models that it trains.

    Of several ranks rank 0 writes the run; the others get a recorder that writes a stream of its own beside it
    (``ranks/<rank>.events.jsonl``), and whose ``stop`` becomes true at the same step.
    In a script that a suite runs, the first record lands in the folder of the suite's run, whatever ``path`` is.

    Args:
        path: the run directory; made when missing.
        config: everything that decides the run; stored as JSON.
        seed: the run's seed.
        window: optimizer steps summarised in one event; by default the first 50 are kept one by one, later ones in
            windows of 50.
        replace: move a run that is already there aside (``path.1``, ``path.2`` ...) instead of refusing.
        resume: "auto" continues the run that is there, as a requeued job does, or starts one.
        start_step: with ``resume``, the optimizer step of the checkpoint from which training continues: what was
            recorded after it is moved aside. By default everything recorded counts.
        suite: a suite file whose checks judge the run while it is recorded, and whole when it has ended; a failed one
            is one line on stderr.
        on_fail: what else a failed check does: "stop" makes ``Recorder.stop`` true, "warn" (the default beside
            ``suite``) nothing, a function is given the verdict. Without ``suite`` the checks judge that suit any run.
        watch: where torch is loaded, the models that this thread calls and the optimizers that step on them are found
            and watched as by :meth:`Recorder.watch`, which takes the place of what was found. False, or the variable
            LVMCHECK_WATCH=0: only what the loop reports is recorded.

    Raises:
        InputError: the directory cannot be written, holds a run, is being written, its config differs, or the suite
            cannot be read.
    """
    if resume not in (None, "auto"):
        raise InputError("lvmcheck.record", f"expected resume 'auto' or None, got {resume!r}", key="resume")
    folder = _placed(Path(path), again=resume is not None or rank() > 0)
    stated = {"config": as_json(config or {}), "seed": seed}
    ranks = rank(), world()
    if ranks[0] > 0:
        continued = resume is not None and (folder / rundir.EVENTS).exists()
        silent = SilentRecorder(folder, meeting=Meeting(folder, *ranks), continued=continued)
        return look_for_models(silent) if watch else silent
    judge = None
    if suite is not None or on_fail is not None:
        judge = import_module("lvmcheck.watch.judge").LiveJudge(suite, "warn" if on_fail is None else on_fail)
    there = (folder / rundir.EVENTS).exists()
    if there and resume is None:
        if not replace:
            raise InputError(
                folder,
                "already holds a run",
                fix="Give another directory, resume='auto' to continue it, or replace=True to move it aside.",
            )
        refuse_written(folder)
        move_aside(folder)
        there = False
    if not there:
        make_run(folder, stated)
    lock = lock_run(folder)
    try:
        if there:
            same_config(folder, stated)
            cut_after(folder, start_step)
        early = EARLY if window is None else 0
        recorder = Recorder(
            folder,
            window=WINDOW if window is None else window,
            early=early,
            judge=judge,
            at_end=None if judge is None else judge.end,
            lock=lock,
            meeting=Meeting(folder, *ranks),
        )
    except InputError:
        unlock(lock)
        raise
    recorder.begin(continued=there)
    return look_for_models(recorder) if watch else recorder


WATCH = "LVMCHECK_WATCH"
"""Variable whose value 0 turns off that models are found and watched."""


def look_for_models(recorder: Recorder) -> Recorder:
    """The recorder, which from now on finds the models that this thread trains, and watches them; where torch is there.

    ``recorder.look_no_further()`` ends that.
    """
    if os.environ.get(WATCH) != "0" and "torch" in sys.modules:
        recorder.finder = import_module("lvmcheck.watch.found").Finder(recorder)
    return recorder


ASKED = "LVMCHECK_RUN"
"""Variable with the folder that the run of a script is wanted in."""


def _placed(path: Path, *, again: bool) -> Path:
    """The folder that whoever started this script asks for: of the first record, and of one that goes on there."""
    asked = os.environ.get(ASKED)
    return path if not asked or ((Path(asked) / rundir.EVENTS).exists() and not again) else Path(asked)


def same_config(folder: Path, stated: Mapping[str, Any]) -> None:
    """Refuse to continue a run with another configuration or seed.

    Raises:
        InputError: names the first key that differs.
    """
    recorded = read_json(folder / rundir.INFO) or {}
    before, now = recorded.get("config") or {}, stated["config"]
    keys = sorted({*before, *now}, key=str)
    differing = [key for key in keys if before.get(key) != now.get(key)]
    if recorded.get("seed") != stated["seed"]:
        differing.insert(0, "seed")
        before, now = {**before, "seed": recorded.get("seed")}, {**now, "seed": stated["seed"]}
    if differing:
        key = differing[0]
        raise InputError(
            folder / rundir.INFO,
            f"expected {before.get(key)!r} as in the recorded run, got {now.get(key)!r}",
            key=f"config.{key}" if key != "seed" else key,
            fix="Continue with the same configuration, or record into another directory.",
        )


def cut_after(folder: Path, start_step: int | None) -> None:
    """Keep the events up to ``start_step``; the whole stays beside them as ``events.jsonl.N``.

    Raises:
        InputError: fewer steps are recorded, or an event cannot be read.
    """
    path = folder / rundir.EVENTS
    raw = written_events(folder)
    whole = raw[: raw.rfind(b"\n") + 1]  # a line that a kill cut short is dropped
    kept = whole if start_step is None else b"".join(_until(path, whole, start_step))
    if kept != raw:
        number = 1
        while (aside := folder / f"{rundir.EVENTS}.{number}").exists():
            number += 1
        path.rename(aside)
        path.write_bytes(kept)
    for name in (rundir.DONE, rundir.STOP, rundir.JUDGED, rundir.FAILURE, rundir.VERDICTS):
        (folder / name).unlink(missing_ok=True)


def _until(path: Path, lines: bytes, start_step: int) -> list[bytes]:
    kept, reached = [], 0
    for number, line in enumerate(lines.splitlines(keepends=True), start=1):
        try:
            event = parse_line(line)
        except EventError as problem:
            raise InputError(path, str(problem), line=number) from None
        step = max(getattr(event, "last_step", 0), getattr(event, "step", 0))
        if step <= start_step:
            kept.append(line)
        reached = max(reached, step)
    if start_step > reached:
        problem_text = f"expected at most {reached:,}, the last step that is recorded, got {start_step:,}"
        raise InputError(path, problem_text, key="start_step")
    return kept
