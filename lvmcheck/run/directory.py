"""The run directory: the only thing between a trainer and its judges. Names, atomic writes, and a reader that follows.

=================  =====================================================================================
``run.json``       config, seed, versions, device, source digest; written before the first event
``events.jsonl``   append-only, one event a line; readable while it grows
``checkpoints/``   weights and training state
``ranks/``         what ranks other than 0 measured, where several train one model
``output.log``     what the trainer printed (its last and first part)
``stop.json``      a request to stop, with its reason; the trainer looks at every step
``judged``         how many bytes of events the live judge has seen
``verdicts.json``  what the parent decided
``failure.json``   how the trainer failed, in its own words
``done.json``      the completion record: written last, with the size and sha256 of the events
=================  =====================================================================================
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.run.event_lines import EventError, parse_line, to_line
from lvmcheck.run.events import MAX_EPOCH, Checkpoint, Epoch, Event, Note, Probe
from lvmcheck.run.events_file import EVENTS as EVENTS
from lvmcheck.run.events_file import MAX_EVENTS, MAX_LINE, MAX_METRICS, lines_of, unreadable, written_events
from lvmcheck.run.manifest import MANIFEST, damage
from lvmcheck.run.regular_file import open_regular, read_json, small_file
from lvmcheck.run.seal import SEAL, broken_seal
from lvmcheck.run.view import Run

INFO = "run.json"
CHECKPOINTS = "checkpoints"
OUTPUT = "output.log"
STOP = "stop.json"
JUDGED = "judged"
VERDICTS = "verdicts.json"
DONE = "done.json"
FAILURE = "failure.json"


def write_json(path: Path, body: Mapping[str, Any]) -> None:
    """Publish a JSON object: a reader sees the old file or the new one, never a part.

    Raises:
        InputError: the disk is full or the directory cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_spelled(body))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, problem) from None


def _spelled(body: Mapping[str, Any]) -> bytes:
    """The only spelling of a JSON file."""
    return json.dumps(body, indent=1, default=str).encode() + b"\n"


def cannot_write(path: Path, problem: OSError) -> InputError:
    """The error for a disk or a directory that refuses, with the space that is left."""
    import shutil

    fix = "Give a directory that can be written: --lvm-dir PATH."
    detail = problem.strerror or str(problem)
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
        detail += f", {free / 1e6:,.1f} MB free"
        if problem.errno is not None and problem.errno == 28:  # ENOSPC
            fix = "Free some space or give another place: --lvm-dir PATH. What was written before is kept."
    return InputError(path, f"cannot be written: {detail}", fix=fix)


class Follower:
    """Reads a run directory while it grows; every call of :meth:`read` returns the run so far.

    A last line without its newline is left for the next call; once the run is over it is dropped and counted.

    Args:
        stated: of ``run.json``, what its reader knows better: the config that a suite asked for.
    """

    def __init__(self, path: Path, stated: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._stated = stated or {}
        self._events = str(path / EVENTS)
        self._restart()

    def _restart(self) -> None:
        self.offset = 0
        self.lines = 0
        self._epoch = 0
        self._metrics: set[str] = set()
        self._digest = hashlib.sha256()
        self._run = Run(path=self.path)

    def grown(self) -> bool:
        """Whether the events are longer or shorter than what was read."""
        try:
            return os.stat(self._events).st_size != self.offset  # noqa: PTH116 - pathlib is slower here
        except OSError:
            return False

    @property
    def seen(self) -> tuple[int, str]:
        """How many bytes of the events were read, and their sha256."""
        return self.offset, self._digest.hexdigest()

    def read(self, *, death: str | None = None) -> Run:
        """The run so far; ``death`` is what the caller knows about a trainer that is gone.

        Raises:
            InputError: a line that is not an event, or events that changed after the run had ended.
        """
        done = read_json(self.path / DONE)  # before the events, so that it never speaks of more than is read
        fresh, torn = self._fresh_events()
        info = self._run.info or self._info()
        if fresh or done != self._run.done or death != self._run.death or info is not self._run.info:
            if done is not None:
                self._check(done, torn)
            said = self._so_far(fresh)
            self._run = Run(events=said, info=info, done=done, death=death, path=self.path, torn=torn)
        return self._run

    def _so_far(self, fresh: list[Event]) -> tuple[Event, ...]:
        """What the run holds once these events are added."""
        return (*self._run.events, *fresh)

    def _info(self) -> dict[str, Any]:
        written = read_json(self.path / INFO)
        return {**written, **self._stated} if written else {}

    def _fresh_events(self) -> tuple[list[Event], int]:
        try:
            with open_regular(self.path / EVENTS) as file:
                size = os.fstat(file.fileno()).st_size
                if size < self.offset:  # a resumed trainer cut back to its checkpoint: read again from the start
                    self._restart()
                if size > MAX_EVENTS:
                    raise InputError(self.path / EVENTS, f"expected at most {MAX_EVENTS:,} bytes, got {size:,}")
                file.seek(self.offset)
                block = lines_of(file, size - self.offset)
        except FileNotFoundError:
            return [], 0
        except (OSError, EventError) as problem:
            raise unreadable(self.path / EVENTS, problem) from None
        whole = block.rfind(b"\n") + 1
        events = [self._parse(line) for line in block[:whole].splitlines()]
        self.offset += whole
        self._digest.update(block[:whole])
        return events, len(block) - whole

    def _parse(self, line: bytes) -> Event:
        self.lines += 1
        try:
            if len(line) > MAX_LINE:
                raise EventError(f"expected at most {MAX_LINE:,} bytes, got {len(line):,}")
            event = parse_line(line)
            if isinstance(event, Epoch):
                self._go_forward(event.epoch)
                self._metrics.update(event.metrics)
            elif isinstance(event, Probe):
                self._metrics.add(event.name)
            if len(self._metrics) > MAX_METRICS:
                raise EventError(f"expected at most {MAX_METRICS:,} metrics in one run, got more")
            return event
        except EventError as problem:
            raise InputError(self.path / EVENTS, str(problem), line=self.lines) from None

    def _go_forward(self, epoch: int) -> None:
        """Of two reports of one epoch a live judge would take the first and a later one the last: neither counts."""
        if not self._epoch < epoch <= MAX_EPOCH:
            raise EventError(f"expected an epoch after {self._epoch}, up to {MAX_EPOCH:,}, got {str(epoch)[:40]}")
        self._epoch = epoch

    def _check(self, done: Mapping[str, Any], torn: int) -> None:
        if done.get("bytes") != self.offset + torn or done.get("sha256") != self._digest.hexdigest():
            raise InputError(
                self.path / EVENTS,
                f"does not match its completion record: expected {done.get('bytes')} bytes with sha256 "
                f"{str(done.get('sha256'))[:12]}, got {self.offset + torn} with {self._digest.hexdigest()[:12]}; "
                "it was changed after the run had ended",
                fix="Train again: --lvm-fresh.",
            )
        why = broken_seal(done, self.path, INFO)
        if why is None and SEAL in done and _spelled(done) != small_file(self.path / DONE):
            why = "the completion record is spelled in another way than it was sealed"
        if why is not None:
            raise InputError(self.path / DONE, why, fix="Train again: --lvm-fresh.")


# -- continuing --------------------------------------------------------------------------------------------------------
def cut_to_checkpoint(folder: Path) -> Path | None:
    """Make an ended run ready to be continued: cut its events back to the last checkpoint that is there and whole.

    Newer ones that are damaged are renamed to ``<name>.broken``, and a note says so. Where none is whole, the newest is
    returned as it is: the trainer's reader refuses it in its own words.

    Returns:
        The checkpoint's directory, or None when there is nothing to continue from (and nothing was changed).

    Raises:
        InputError: a damaged checkpoint cannot be renamed, or the events not cut.
    """
    raw = written_events(folder)
    known = _checkpoints(folder, raw)
    if not known:
        return None
    (begin, end, event), broken = _newest_whole(folder, known)
    for name in (DONE, STOP, JUDGED, FAILURE, VERDICTS):
        (folder / name).unlink(missing_ok=True)
    chosen = folder / event.path
    try:
        os.truncate(folder / EVENTS, begin if broken else end)
        if broken:  # the checkpoint's line stays the last: what comes next continues from it
            lines = [to_line(Note(t=event.t, text=f"{why}; continued from {chosen.name}")) for why in broken.values()]
            with (folder / EVENTS).open("ab") as file:
                file.write("".join(f"{line}\n" for line in lines).encode() + raw[begin:end])
        for path in broken:
            if path.resolve().is_relative_to(folder.resolve()):
                _set_aside(path)
    except OSError as problem:
        raise cannot_write(folder, problem) from None
    return chosen


_Place = tuple[int, int, Checkpoint]
"""Where the line of a checkpoint begins and ends in the events, and what it says."""


def _newest_whole(folder: Path, known: list[_Place]) -> tuple[_Place, dict[Path, str]]:
    """The newest checkpoint that is whole, and what is wrong with the newer ones; the newest where none is whole."""
    required = any((folder / event.path / MANIFEST).exists() for _, _, event in known)
    broken: dict[Path, str] = {}
    for place in reversed(known):
        path = folder / place[2].path
        reason = damage(path, manifest=required)
        if reason is None:
            return place, broken
        broken[path] = f"checkpoint {path.name} cannot be used: {reason}"
    return known[-1], {}


def _checkpoints(folder: Path, raw: bytes) -> list[_Place]:
    """The checkpoints to continue from that are still there, oldest first."""
    end, found = 0, []
    for line in raw.splitlines(keepends=True):
        begin, end = end, end + len(line)
        if b'"event":"checkpoint"' not in line or not line.endswith(b"\n"):
            continue
        with contextlib.suppress(EventError):
            event = parse_line(line)
            if isinstance(event, Checkpoint) and event.name == "last" and (folder / event.path).exists():
                found.append((begin, end, event))
    return found


def _set_aside(path: Path) -> None:
    """Keep a damaged checkpoint under a name that nothing takes for one."""
    import shutil

    aside = path.with_name(f"{path.name}.broken")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def load(path: str | os.PathLike[str]) -> Run:
    """The run in a directory, finished or not.

    Raises:
        InputError: there is no run, or its events cannot be read.
    """
    folder = Path(path)
    if not (folder / EVENTS).is_file():
        kind = "a directory without events.jsonl" if folder.is_dir() else "no such directory"
        raise InputError(folder, f"expected a run directory, got {kind}")
    return Follower(folder).read()
