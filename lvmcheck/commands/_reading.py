"""Arguments of commands that read a run of any logger, and the run that they name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvmcheck.run.view import Run


def add_reading(command: argparse.ArgumentParser) -> None:
    """How the run is to be read."""
    command.add_argument("--kind", metavar="NAME", help="what wrote it (default: found by its content)")
    command.add_argument("--columns", metavar="MAP", help='such as "epoch=step,val_loss=validation/loss"')
    command.add_argument("--run", metavar="ID", help="which run, where the file holds several")


def read_run(path: Path, options: argparse.Namespace) -> Run:
    """The run at ``path``, read as :func:`add_reading`'s arguments say."""
    from lvmcheck.readers import open_run

    return open_run(path, kind=options.kind, columns=options.columns, run=options.run)
