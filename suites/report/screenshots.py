"""Pictures of a report for the documentation: ``python -m suites.report.screenshots RUN... [-o docs/images]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from lvmcheck.report.html.page import write_report
from lvmcheck.report.html.report_run import runs_at
from suites.report.browser import Browser


@dataclass(frozen=True, kw_only=True)
class View:
    """A picture: ``at`` is the section that it begins with, "" the top of the page."""

    name: str
    width: int
    height: int
    colours: str
    at: str = ""
    scale: float = 1


VIEWS = (
    View(name="report-light", width=1280, height=1000, colours="light"),
    View(name="report-curves-dark", width=1280, height=1000, colours="dark", at="curves"),
    View(name="report-phone", width=360, height=780, colours="light", scale=2),
    View(name="report-phone-curves-dark", width=360, height=780, colours="dark", at="curves", scale=2),
)
SETTLED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 150, true))))"


def pictures(browser: Browser, report: Path, folder: Path) -> list[Path]:
    """Each of :data:`VIEWS` as a PNG in ``folder``."""
    written = []
    for view in VIEWS:
        browser.size(view.width, view.height, phone=view.width < 500, scale=view.scale)
        browser.colours(view.colours)
        browser.open(report)
        if view.at:
            browser.run(f"document.getElementById({view.at!r}).scrollIntoView()")
        browser.run(SETTLED)
        written.append(folder / f"{view.name}.png")
        browser.screenshot(written[-1])
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m suites.report.screenshots", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="runs, as for lvmcheck report")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder, Browser() as browser:
            report = Path(folder) / "report.html"
            write_report(report, runs_at(options.runs, open_run))
            for path in pictures(browser, report, options.output):
                print(path)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
