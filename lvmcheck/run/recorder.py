"""Writes a run directory: three lines for any training loop, and the trainer's side of the live judge.

A step costs microseconds: numbers stay where they are (tensors on their device) until a window of steps is full, are
then read in bulk and become one line. Lines are written whole, so a crash loses at most the window being gathered.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lvmcheck.errors import InputError
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.evaluations import is_evaluation
from lvmcheck.run.event_lines import to_line
from lvmcheck.run.events import MAX_EPOCH
from lvmcheck.run.events_file import event_at, progress, written_events
from lvmcheck.run.locks import unlock
from lvmcheck.run.preflights import waits
from lvmcheck.run.ranks import Meeting
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.seal import sealed
from lvmcheck.run.stopping import Stopping
from lvmcheck.run.values import check_number, count, number, numbers, refused
from lvmcheck.run.watching import WINDOW, Watching
from lvmcheck.run.window import StepRow, summarise


class Recorder(Watching):
    """Reports one run. Make it with :func:`lvmcheck.record`; a launched trainer receives one.

    Attributes:
        path: the run directory.
        resume: directory of the checkpoint to continue from, or None for a fresh start.
        steps: optimizer steps reported so far.
        watchers: what :meth:`watch` returned, in order, and what was found without it.
        finder: looks for models and optimizers; None where nobody wants that.
        findings: verdicts of watchers, in the order of first sight.
        written: bytes of events written so far.

    Args:
        window: optimizer steps summarised in one event.
        early: first steps that are windows of their own.
        judge: called after each line that can decide a check, with True where training waits for its answer (the data
            are known, an epoch has ended), so that an abort costs no training.
        at_end: called once the completion record is written.
        lock: descriptor of the lock that keeps other writers out; closed with the run.
        meeting: where the ranks of this run meet.
    """

    def __init__(
        self,
        path: Path,
        *,
        window: int = WINDOW,
        early: int = 0,
        judge: Callable[[Recorder, bool], None] | None = None,
        at_end: Callable[[Recorder], None] | None = None,
        resume: Path | None = None,
        lock: int | None = None,
        meeting: Meeting | None = None,
    ) -> None:
        if window < 1:
            raise InputError("Recorder", f"window: expected at least 1 step, got {window}")
        self.path, self.meeting = path, meeting
        self.resume = resume
        self.steps = 0
        self.epochs = 0
        self.window = window
        self._first_steps = early
        self._first_epoch: int | None = None
        self._judge, self._at_end = judge, at_end
        self.findings: list[Any] = []
        self._rows: list[StepRow] = []
        self._roles: dict[str, dict[str, Any]] = {}
        self.watchers: list[Any] = []
        self.finder: Any = None
        self._stopping = Stopping(path, meeting)
        self._stop: str | None = None
        self._closed = False
        self._digest, self._offset = hashlib.sha256(), 0  # of a recorder that never begins, as in a test
        self._epoch_began = self._window_began = self._origin = time.monotonic()
        self._lock = lock
        self._fd = self._open()

    def _open(self) -> int:
        try:
            fd = os.open(self.path / rundir.EVENTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as problem:
            raise rundir.cannot_write(self.path / rundir.EVENTS, problem) from None
        return fd

    # -- the loop's side ---------------------------------------------------------------------------------------------
    def step(
        self,
        *,
        loss: Any = None,
        terms: Mapping[str, tuple[float, Any]] | None = None,
        grad_norm: Any = None,
        lr: float | None = None,
        samples: int = 0,
        **metrics: Any,
    ) -> None:
        """One optimizer step.

        Args:
            loss: the total that was differentiated; a float or a 0-d tensor on any device. Of two players, their sum.
            terms: every loss term that was computed: name -> (weight, unweighted value). Leave out what was not.
            grad_norm: global gradient norm before clipping.
            lr: learning rate that this step used.
            samples: items in the batch.
            metrics: whatever else is measured by step, such as accuracy; kept as means over windows.

        Raises:
            InputError: a value that is not a single number; names the file and line of the call.
        """
        if type(loss) is not float:
            check_number(loss, "loss")
            self._reported(loss)
        if terms or metrics or type(grad_norm) is not float or type(lr) is not float:
            grad_norm, lr = self._checked(terms, grad_norm, lr, metrics)
        if type(samples) is not int or samples < 0:
            samples = count(samples, "samples")
        if self._rows and (terms or {}).keys() != (self._rows[-1].terms or {}).keys():
            self._finish_window()  # a window never mixes steps with different terms
        self.steps += 1
        self._rows.append(StepRow(loss, terms, grad_norm, lr, samples, metrics or None))
        if self.steps % self.window == 0 or self.steps <= self._first_steps:
            self._finish_window()

    @staticmethod
    def _checked(
        terms: Mapping[str, tuple[float, Any]] | None, grad_norm: Any, lr: Any, metrics: Mapping[str, Any]
    ) -> tuple[Any, float | None]:
        for name, value in {**metrics, **({} if grad_norm is None else {"grad_norm": grad_norm})}.items():
            check_number(value, name)
        for name, term in (terms or {}).items():
            if not (isinstance(term, tuple | list) and len(term) == 2):
                raise refused(f"terms[{name!r}]", f"(weight, value), got {str(term)[:40]}", None)
            check_number(term[0], f"weight of {name}")
            check_number(term[1], name)
        return grad_norm, None if lr is None else number(lr, "lr")

    @property
    def stop(self) -> bool:
        """Whether the loop must end now; costs one look at the file system."""
        if self._stop is None:
            self._stop = self._stopping.due(self.steps)
            if self._stop is not None:
                self._finish_window()
                self._write(ev.Stop(t=self._now(), epoch=self.epochs, step=self.steps, reason=self._stop))
        return self._stop is not None

    @property
    def asked_to_stop(self) -> bool:
        """Whether the loop was asked to end, although it may not have looked since."""
        return self._stopping.asked is not None

    def ask_to_stop(self, reason: str) -> None:
        """Make :attr:`stop` true at the next look, of several ranks two steps later; safe in a signal handler."""
        self._stopping.ask(reason)

    @property
    def written(self) -> int:
        return self._offset

    @property
    def stop_reason(self) -> str | None:
        return self._stop

    def epoch(self, epoch: int, *, samples_per_second: float | None = None, **metrics: Any) -> None:
        """The end of an epoch with its metrics; afterwards :attr:`stop` holds the live judge's answer.

        Args:
            epoch: its number in the loop, counted from 0 or from 1; epochs go forward.
            metrics: name -> number; None is "not measured".

        Raises:
            InputError: an epoch that was reported already or goes back, or a value that is not a number.
        """
        found, number_of = numbers(metrics, "epoch"), self._epoch_number(epoch)
        for watcher in self.watchers:
            watcher.epoch_ended(evaluated=any(map(is_evaluation, found)))
        self._finish_window()
        now = self._now()
        self._write(
            ev.Epoch(
                t=now,
                epoch=number_of,
                step=self.steps,
                metrics=found,
                seconds=now - (self._epoch_began - self._origin),
                samples_per_second=samples_per_second,
                counted_as=epoch if epoch != number_of else None,
            )
        )
        self.epochs = number_of
        self._sync()
        if self._judge is not None:
            self._judge(self, True)
        self._stopping.word("epoch", epoch, self.steps)
        self._epoch_began = self._window_began = time.monotonic()

    def _epoch_number(self, epoch: int) -> int:
        """The loop's number of an epoch, counted from 1; a loop whose first epoch is 0 counts from 0."""
        if isinstance(epoch, bool) or not isinstance(epoch, int) or not 0 <= epoch <= MAX_EPOCH:
            raise refused("epoch", f"an integer from 0 to {MAX_EPOCH:,}, got {str(epoch)[:40]!r}", None)
        if self._first_epoch is None:
            self._first_epoch = min(epoch, 1)
        counted = epoch + 1 - self._first_epoch
        if counted <= self.epochs:
            last = self.epochs - 1 + self._first_epoch
            raise refused("epoch", f"an epoch after {last}, which was reported last, got {epoch}", None)
        return counted

    def log(self, metrics: Mapping[str, Any] | None = None, *, step: int | None = None, **more: Any) -> None:
        """Metrics at a step (by default the last one reported), outside the ends of epochs; as keywords or a mapping.

        Raises:
            InputError: a step that goes back, or a value that is not a number.
        """
        found, at = numbers({**(metrics or {}), **more}, "log"), self.steps if step is None else step
        if isinstance(at, bool) or not isinstance(at, int) or at < self.steps:
            raise refused("step", f"a step of at least {self.steps:,}, got {str(step)[:40]!r}", None)
        for watcher in self.watchers if any(map(is_evaluation, found)) else ():
            watcher.evaluated()
        self._finish_window()
        self.steps = at
        self._write(ev.Log(t=self._now(), epoch=self.epochs + 1, step=at, metrics=found))
        if self._judge is not None:
            self._judge(self, False)

    def _still_setting_up(self) -> None:
        """What is said before the first step belongs to no epoch: loading data is not the pace of training."""
        if self.steps == 0:
            self._epoch_began = self._window_began = time.monotonic()

    def device(self, kind: str, about: str = "") -> None:
        """What training runs on: "cpu", "cuda" or "mps", and whatever else describes it."""
        self._write(ev.Device(t=self._now(), kind=kind, about=about))

    def forward(self, event: ev.Event) -> None:
        """Record an event of another record of this run, such as the history that a script writes."""
        self._finish_window()
        self._write(event)
        self.steps = max(self.steps, getattr(event, "last_step", getattr(event, "step", None)) or 0)
        ended = isinstance(event, ev.Epoch)
        self.epochs = event.epoch if isinstance(event, ev.Epoch) else self.epochs
        if self._judge is not None:
            self._judge(self, ended)

    # -- beginning and end -------------------------------------------------------------------------------------------
    def begin(self, *, continued: bool = False) -> None:
        """Write the first event; events that are there already end with the checkpoint this run resumes from.

        Args:
            continued: go on after whatever event is the last.
        """
        kept = written_events(self.path)
        self._digest, self._offset = hashlib.sha256(kept), len(kept)
        if kept:
            lines = kept.splitlines()
            last = event_at(self.path, lines[-1], len(lines))
            if isinstance(last, ev.Checkpoint):
                self.steps, self.epochs = last.step, last.epoch
            elif continued:
                self.steps, self.epochs, self._first_epoch = progress(self.path, lines)
            else:
                raise InputError(self.path / rundir.EVENTS, "expected to end with a checkpoint to resume from")
            self._origin = time.monotonic() - last.t
        self._epoch_began = self._window_began = time.monotonic()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        nonce = str((read_json(self.path / rundir.INFO) or {}).get("nonce") or "") or None
        resumed = self.steps if kept else None
        self._write(ev.Begin(t=self._now(), time=stamp, resumed_at_step=resumed, nonce=nonce))
        self._stopping.begin(self.steps, {"epochs": self.epochs, "first": self._first_epoch})

    def close(self, status: str, *, reason: str | None = None) -> None:
        """Write the completion record: ``finished``, ``stopped``, ``interrupted`` or ``failed``."""
        if self._closed:
            return
        self._say_what_was_missed()
        self.look_no_further()
        for watcher in self.watchers:
            watcher.close()
        self._finish_window()
        self._closed = True
        self._sync()
        os.close(self._fd)
        if self._lock is not None:
            unlock(self._lock)
        body = {
            "status": status,
            "reason": reason,
            "steps": self.steps,
            "epochs": self.epochs,
            "seconds": self._now(),
            "bytes": self._offset,
            "sha256": self._digest.hexdigest(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        rundir.write_json(self.path / rundir.DONE, sealed(body, self.path, rundir.INFO))
        if self._at_end is not None:
            self._at_end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close("stopped" if self._stop else "finished", reason=self._stop)
        elif issubclass(kind, KeyboardInterrupt):
            self.close("interrupted", reason="the keyboard")
        else:
            self.close("failed", reason=f"{kind.__name__}: {error}")

    # -- inside ------------------------------------------------------------------------------------------------------
    def _now(self) -> float:
        return round(time.monotonic() - self._origin, 6)

    def _finish_window(self) -> None:
        if not self._rows:
            return
        if waits() and not self.watchers:
            self._preflights()
        rows, self._rows = self._rows, []
        now = time.monotonic()
        window = summarise(
            rows, epoch=self.epochs + 1, last_step=self.steps, seconds=now - self._window_began, t=self._now()
        )
        self._window_began = now
        self._write(window)
        if self._judge is not None:
            self._judge(self, False)

    def _sync(self) -> None:
        try:
            os.fsync(self._fd)  # a disk may say only now that it is full
        except OSError as problem:
            raise rundir.cannot_write(self.path / rundir.EVENTS, problem) from None

    def _write(self, event: ev.Event) -> None:
        if self._closed:
            raise RuntimeError("this run is closed: nothing can be recorded any more")
        line = to_line(event).encode() + b"\n"
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(28, "short write")
        except OSError as problem:
            os.ftruncate(self._fd, self._offset)  # no half line stays behind
            raise rundir.cannot_write(self.path / rundir.EVENTS, problem) from None
        self._offset += len(line)
        self._digest.update(line)
