"""Where the reports of a session go: files that were asked for, and what GitHub offers a job to write to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lvmcheck.report.machine import json_report
from lvmcheck.report.machine.annotations import workflow_commands
from lvmcheck.report.machine.gitlab import code_quality
from lvmcheck.report.machine.markdown import comment, summary
from lvmcheck.report.machine.openmetrics import openmetrics
from lvmcheck.report.machine.session import SessionReport

RENDERERS: dict[str, Callable[[SessionReport], str]] = {
    "json": json_report.render,
    "markdown": comment,
    "gitlab": code_quality,
    "openmetrics": openmetrics,
}
"""Kind of a file to what renders it; ``--lvm-KIND FILE`` asks for it."""
SUMMARY_BYTES = 1 << 20
"""GitHub drops the summary of a step that is longer."""


@dataclass(frozen=True)
class Outputs:
    """What to write.

    Attributes:
        files: kind to place.
        step_summary: the file that GitHub shows on the page of a job; it is appended to.
        annotate: whether failures are printed as annotations on lines of suite files.
    """

    files: Mapping[str, Path]
    step_summary: Path | None = None
    annotate: bool = False

    def begin(self, report: SessionReport) -> None:
        """Leave no report of an earlier session: one that says "not finished", and nothing of other kinds.

        Raises:
            InputError: a file cannot be written.
        """
        for kind, path in self.files.items():
            json_report.write_text(path, RENDERERS[kind](report))

    def end(self, report: SessionReport) -> list[str]:
        """Write everything; returns lines to print, which begin at the start of a line.

        Raises:
            InputError: a file cannot be written.
        """
        for kind, path in self.files.items():
            json_report.write_text(path, RENDERERS[kind](report))
        if self.step_summary is not None and report.suites:
            text = summary(report).encode(errors="backslashreplace")[:SUMMARY_BYTES]
            try:
                with self.step_summary.open("ab") as file:
                    file.write(text)
            except OSError as problem:
                raise json_report.cannot_write(self.step_summary, problem) from None
        return workflow_commands(report) if self.annotate else []


def on_github(files: Mapping[str, Path], environment: Mapping[str, str] = os.environ) -> Outputs:
    """The files asked for, and on a runner of GitHub its summary and annotations."""
    github = environment.get("GITHUB_ACTIONS") == "true"
    place = environment.get("GITHUB_STEP_SUMMARY", "") if github else ""
    return Outputs(files, Path(place) if place else None, github)
