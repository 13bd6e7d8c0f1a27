"""Progress while items wait: a live table of the runs in a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lvmcheck.checks.shared.baselines import baselines
from lvmcheck.checks.wording import figure, spaced
from lvmcheck.pytest_plugin.below import Below
from lvmcheck.pytest_plugin.pytest_api import columns, tell
from lvmcheck.report.progress import live_line
from lvmcheck.report.side_by_side import Lane, table
from lvmcheck.report.verdicts import seed_text
from lvmcheck.run.events import Data, Epoch, Note

if TYPE_CHECKING:
    from lvmcheck.launch.launcher import Launcher
    from lvmcheck.launch.run_job import RunJob

AT_ONCE = 0.15
"""Seconds that an answer may take without anything being drawn."""
WAITING = 3.0
"""Seconds without a place to train before that is shown."""


class ProgressReporter:
    """Shows the jobs that run. One per session."""

    def __init__(self, config: pytest.Config, launcher: Launcher, asked: str) -> None:
        self.launcher = launcher
        self._reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        self._capture: Any = config.pluginmanager.getplugin("capturemanager")
        self.mode = progress_mode(config, self._reporter, asked)
        self._verbose = config.get_verbosity() > 0
        self._shown: dict[int, int] = {}  # id of a job -> events already shown
        self._data_shown: set[str] = set()
        self._aside_shown: set[int] = set()
        self._held_up_since: dict[int, float] = {}  # id of a job -> when it was first asked
        self._held_up_shown = False

    @contextmanager
    def showing(self, job: RunJob) -> Iterator[Callable[[], None]]:
        """A function to call while waiting for the job."""
        if self.mode == "off" or self._reporter is None:
            yield lambda: None
        elif self.mode == "live":
            with self._live(job) as redraw:
                yield redraw
        else:
            yield lambda: self._write_plain(job)

    # -- plain -------------------------------------------------------------------------------------------------------
    def _write_plain(self, job: RunJob) -> None:
        lines = [line for sibling in self.launcher.siblings(job) for line in self.news(sibling)]
        for line in (*lines, *self._held_up(job)):
            self._reporter.ensure_newline()
            tell(self._reporter, line)

    def _held_up(self, job: RunJob) -> list[str]:
        """Once, that other sessions hold every place to train: minutes of silence look like a hang."""
        places = self.launcher.held_up(job)
        since = self._held_up_since.setdefault(id(job), time.monotonic())
        if places is None or self._held_up_shown or time.monotonic() - since < WAITING:
            return []
        self._held_up_shown = True
        return [f"  {seed_text(job.plan.seed)}  waits: every training slot in {places} is in use (see --lvm-jobs)"]

    def news(self, job: RunJob) -> list[str]:
        """What a job has recorded since the last call, as lines."""
        run = job.run
        seen = self._shown.get(id(job), 0)
        lines = self._aside_line(job)
        lines += self._data_line(job) if run.events else []
        if job.reused and seen == 0 and run.events:
            self._shown[id(job)] = len(run.events)
            return [*lines, f"  {seed_text(job.plan.seed)}  reused run of {job.reused} UTC  {live_line(run)}"]
        for i, event in enumerate(run.events[seen:], start=seen):
            if isinstance(event, Epoch):
                lines.append(f"  {seed_text(job.plan.seed)}  {live_line(type(run)(run.events[: i + 1], run.info))}")
            elif isinstance(event, Note) and self._verbose:
                lines.append(f"  {seed_text(job.plan.seed)}  note: {event.text}")
        self._shown[id(job)] = len(run.events)
        return lines

    def _aside_line(self, job: RunJob) -> list[str]:
        """Once, why a run that is there is not reused; whoever asked for fresh ones knows."""
        if job.aside is None or id(job) in self._aside_shown or job.plan.settings.fresh:
            return []
        self._aside_shown.add(id(job))
        return [f"  {seed_text(job.plan.seed)}  {job.aside}"]

    def _data_line(self, job: RunJob) -> list[str]:
        """What the data allow, once per suite."""
        data = job.run.of(Data)
        if not data or job.plan.suite.name in self._data_shown:
            return []
        self._data_shown.add(job.plan.suite.name)
        known = [f"{spaced(name)} {figure(value)}" for name, value in baselines(job.run, "").items()]
        return [f"  data {data[-1].name}: {' · '.join(known) or 'baselines not measured'}"]

    # -- live --------------------------------------------------------------------------------------------------------
    @contextmanager
    def _live(self, job: RunJob) -> Iterator[Callable[[], None]]:
        """A block below the line of results; nothing is drawn for an answer that is there at once."""
        siblings, block, began = self.launcher.siblings(job), Below(self._reporter), time.monotonic()
        ascii_only = "utf" not in (sys.__stdout__.encoding or "").lower() if sys.__stdout__ else True

        def redraw() -> None:
            lines = [line for sibling in siblings for line in (*self._aside_line(sibling), *self._data_line(sibling))]
            lines += self._held_up(job)
            if lines:
                block.clear()
                self._reporter.ensure_newline()
            width = columns(self._reporter) - 1
            for line in lines:
                for part in textwrap.wrap(line, width, subsequent_indent="    ", drop_whitespace=False):
                    tell(self._reporter, part)
            if time.monotonic() - began >= AT_ONCE:
                lanes = [
                    Lane(label=seed_text(it.plan.seed), run=it.run, state=state_of(it)) for it in siblings or [job]
                ]
                block.draw([line[:width] for line in table(lanes, width, ascii_only=ascii_only)])

        with self._capture.global_and_fixture_disabled():
            try:
                yield redraw
            finally:
                block.clear()


def state_of(job: RunJob) -> str:
    """What the figures of a job do not show: that it waits, and how it ended."""
    if not job.over:
        return "" if job.run.events else "waiting"
    run = job.run
    if job.problem is not None or run.death is not None:
        return "died" if run.step else "not trained"
    if job.not_started is not None:
        return "not needed"
    status = str((run.done or {}).get("status", ""))
    by = f" by {job.aborted_by}" if job.aborted_by and status == "stopped" else ""
    return ("reused, " if job.reused else "") + status + by


def progress_mode(config: pytest.Config, reporter: Any, asked: str) -> str:
    """What ``asked`` means here: ``auto`` is ``live`` only in a terminal that can redraw."""
    if hasattr(config, "workerinput") or reporter is None:
        return "off"
    if asked != "auto":
        return asked
    if config.get_verbosity() < 0:
        return "off"
    dumb = os.environ.get("TERM", "dumb") == "dumb" or "CI" in os.environ
    return "live" if getattr(reporter, "isatty", False) and not dumb else "plain"
