"""``lvmcheck check --follow``: what is shown of a run that somebody trains, until it ends."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Outcome, Status
from lvmcheck.checks.wording import counts_text, verdict_text
from lvmcheck.commands._judging import suite_of
from lvmcheck.errors import InputError
from lvmcheck.report.progress import live_line
from lvmcheck.run.bounded import BoundedFollower
from lvmcheck.run.directory import EVENTS, FAILURE
from lvmcheck.run.events import Epoch
from lvmcheck.run.locks import writer_is_gone
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.view import Run
from lvmcheck.suite.looks import Looks, Question, questions_of
from lvmcheck.text.fit import fit_lines
from lvmcheck.text.say import complain

if TYPE_CHECKING:
    from lvmcheck.report.alerts import Alerts

LOOK = 0.5
"""Seconds between two looks."""
SILENCE = 5.0
"""Seconds without a new event after which it is asked whether a process still writes the run, and between two asks."""
PATIENCE = 3
"""Looks in a row that may find a record that cannot be read: it is being cut back or replaced."""
SHOWN = (Status.FAILED, Status.WARNING, Status.ERROR)


class Screen(Protocol):
    """Where a run is shown."""

    def say(self, line: str) -> None: ...

    def look(self, run: Run, looks: Looks, fresh: list[tuple[Question, Outcome]]) -> None: ...


def follow(options: argparse.Namespace, alerts: Alerts | None = None) -> None:
    """Show the run until it ends; ``alerts`` are told of the first check that fails.

    Raises:
        InputError: the path is no run directory, or its events cannot be read.
        KeyboardInterrupt: whoever watches has seen enough.
    """
    path: Path = options.path
    if any((options.kind, options.columns, options.run)) or (path.exists() and not path.is_dir()):
        raise InputError(
            path, "expected a run directory to follow, got another file", fix="Leave out --follow to judge it."
        )
    with screen(sys.stderr if options.json else sys.stdout) as shown:
        _wait(path, shown)
        _follow(path, options, shown, alerts)


def _wait(path: Path, shown: Screen) -> None:
    """Until there is a run."""
    said = False
    while not (path / EVENTS).is_file():
        if not said:
            shown.say(f"waiting for {path}: no run is recorded there yet")
            said = True
        time.sleep(LOOK)


def _follow(path: Path, options: argparse.Namespace, shown: Screen, alerts: Alerts | None) -> None:
    follower = BoundedFollower(path)
    looks: Looks | None = None
    ending, refused, step = Ending(path), 0, 0
    while True:
        over = ending.come()  # asked before reading, so that the last events are not missed
        try:
            run = follower.read()
            looks = looks or Looks(questions_of(suite_of(options, run)))
            if run.step < step:
                shown.say(f"continued from step {run.step:,}")
                looks.restart()
            fresh = [(question, outcome) for question, outcome, _ in looks.look(follower)]
        except InputError:
            refused += 1
            if looks is None or refused >= PATIENCE:
                raise
            follower = BoundedFollower(path)
        else:
            refused, step = 0, run.step
            shown.look(run, looks, fresh)
            alerts = _alerted(alerts, run, path, fresh)
            if over or run.done is not None:
                return
        time.sleep(LOOK)


def _alerted(alerts: Alerts | None, run: Run, path: Path, fresh: list[tuple[Question, Outcome]]) -> Alerts | None:
    """Tells the first failure with its cause; whom to tell of the next one."""
    failed = [question.verdict(outcome, run) for question, outcome in fresh if outcome.status is Status.FAILED]
    if alerts is None or not failed:
        return alerts
    cause = next((found for found in diagnose(run, failed) if failed[0].check in found.explains), None)
    alerts.failed(path.name, failed[0], cause)
    return None


class Ending:
    """Whether a run has ended without a completion record: its trainer says so, or nobody writes it any more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = -1
        self._since = time.monotonic()

    def come(self) -> bool:
        """Asked rarely: asking takes the lock for a moment."""
        events, now = self._path / EVENTS, time.monotonic()
        size = events.stat().st_size if events.is_file() else 0
        if size != self._size:
            self._size, self._since = size, now
        if now - self._since < SILENCE:
            return False
        self._since = now
        return read_json(self._path / FAILURE) is not None or writer_is_gone(self._path)


# -- what is shown -----------------------------------------------------------------------------------------------------
@contextmanager
def screen(out: TextIO) -> Iterator[Screen]:
    """A block that is drawn anew in a terminal, lines elsewhere."""
    if not out.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield Lines(out)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(file=out, no_color="NO_COLOR" in os.environ)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield Block(live, ascii_only="utf" not in (out.encoding or "").lower())


class Lines:
    """One line for each epoch, and for each check that failed or warned."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._epoch = 0

    def say(self, line: str) -> None:
        """A line by itself."""
        complain(line, out=self._out)

    def look(self, run: Run, looks: Looks, fresh: list[tuple[Question, Outcome]]) -> None:  # noqa: ARG002
        """What is new."""
        for event in run.of(Epoch):
            if event.epoch > self._epoch:
                self._epoch = event.epoch
                self.say(live_line(_until(run, event)))
        for question, outcome in fresh:
            if outcome.status in SHOWN:
                self.say(verdict_text(question.verdict(outcome, run)))


class Block:
    """The live line, what failed or warned, and how many checks have answered, drawn in one place."""

    def __init__(self, live: Any, *, ascii_only: bool) -> None:
        self._live = live
        self._ascii = ascii_only

    def say(self, line: str) -> None:
        """A line in place of the block, until there is one."""
        self._draw([line])

    def look(self, run: Run, looks: Looks, fresh: list[tuple[Question, Outcome]]) -> None:  # noqa: ARG002
        """The block as it is now."""
        bad = [
            verdict_text(question.verdict(outcome, run))
            for question in looks.questions
            if (outcome := looks.answers.get(question.name)) is not None and outcome.status in SHOWN[:2]
        ]
        room = max(1, self._live.console.height - 4)
        more = [f"and {len(bad) - room} more"] if len(bad) > room else []
        counts = f"{counts_text(looks.answers.values(), going_on=True)}"
        self._draw([live_line(run, ascii_only=self._ascii), *bad[:room], *more, counts])

    def _draw(self, lines: list[str]) -> None:
        from rich.text import Text

        self._live.update(Text(fit_lines(lines), no_wrap=True, overflow="ellipsis"), refresh=True)


def _until(run: Run, end: Epoch) -> Run:
    """The run as it was when that epoch ended."""
    return replace(run, events=run.events[: run.events.index(end) + 1], done=None)
