"""``lvmcheck export``: runs as other loggers write them."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.commands._reading import add_reading, read_run
from lvmcheck.text.say import complain, say

if TYPE_CHECKING:
    from lvmcheck.exporters import Exporter
    from lvmcheck.exporters.feed import Feed
    from lvmcheck.run.view import Run

HELP = "runs for TensorBoard, W&B (offline) or MLflow; no network"
EXAMPLE = "lvmcheck export .lvmcheck/runs --to tensorboard --into logs"
DONE, DIED, INTERRUPTED = 0, 1, 130
EXITS = {DONE: "exported", DIED: "a run that was followed died", INTERRUPTED: "interrupted"}
DEAD_AFTER = 600.0
"""Seconds of silence after which a run that holds no lock counts as dead: longer than most evaluations."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN", help="runs, or folders that hold run directories")
    parser.add_argument("--to", required=True, metavar="LOGGER", help="tensorboard, wandb or mlflow")
    parser.add_argument("--into", type=Path, metavar="DIR", help="where to write (default: exported/LOGGER)")
    parser.add_argument("--follow", action="store_true", help="go on while the runs go on, to their ends")
    parser.add_argument(
        "--dead-after",
        type=float,
        default=DEAD_AFTER,
        metavar="SECONDS",
        help="of silence that end a run (default: 600)",
    )
    add_reading(parser)


def run(options: argparse.Namespace) -> int:
    from lvmcheck.errors import InputError
    from lvmcheck.exporters import exporter
    from lvmcheck.exporters.export_run import name_of
    from lvmcheck.report.html.report_run import run_paths

    chosen = exporter(options.to)
    into = options.into if options.into is not None else Path("exported") / options.to
    if into.exists() and not into.is_dir():
        raise InputError(into, "expected a folder to export into, got a file")
    if not options.dead_after > 0:
        raise InputError("--dead-after", f"expected a positive number of seconds, got {options.dead_after}")
    paths = run_paths(options.paths)
    twice = [name for name, count in Counter(map(name_of, paths)).items() if count > 1]
    if twice:
        raise InputError("export", f"several runs are called {twice[0]!r}", fix="Export them one by one: --into DIR.")
    died = False
    try:
        for feed, run, there in (_following if options.follow else _in_one_go)(paths, chosen, into, options):
            say(_line(feed, run, there))
            died = died or run.death is not None
    except KeyboardInterrupt:
        complain("interrupted: exports that are not reported above are not complete")
        return INTERRUPTED
    return DIED if died and options.follow else DONE


Exported = tuple["Feed", "Run", str | None]


def _in_one_go(paths: Sequence[Path], chosen: Exporter, into: Path, options: argparse.Namespace) -> Iterator[Exported]:
    from lvmcheck.exporters.feed import Feed, with_death

    for path in paths:
        run = with_death(read_run(path, options))
        feed = Feed(path, chosen, into)
        there = feed.unchanged(run)
        if there is None:
            try:
                feed.end(run)
            finally:
                feed.abandon()
        yield feed, run, there


def _following(paths: Sequence[Path], chosen: Exporter, into: Path, options: argparse.Namespace) -> Iterator[Exported]:
    from lvmcheck.errors import InputError
    from lvmcheck.exporters.follow import follow

    for name in ("kind", "columns", "run"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name}", "does not go with --follow, which reads run directories")
    return follow(paths, chosen, into, dead_after=options.dead_after)


def _line(feed: Feed, run: Run, there: str | None) -> str:
    from lvmcheck.exporters.feed import sentence

    if there is not None:
        return f"{feed.path}: there already, nothing written: {there}"
    epochs = f"{feed.epochs} epoch{'' if feed.epochs == 1 else 's'}"
    return f"{feed.path}: {epochs}, {feed.points:,} values -> {feed.place}\n  {sentence(run)}"
