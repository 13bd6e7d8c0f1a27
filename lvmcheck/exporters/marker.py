"""``lvmcheck-export.json`` beside exported files: whose they are, and what they show."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.exporters import Earlier
from lvmcheck.exporters.entry import ExportRun
from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import read_json

NAME = "lvmcheck-export.json"


def write(folder: Path, exported: ExportRun, digest: str = "") -> None:
    """Mark ``folder`` as the export of this run; ``digest`` once it has come to its end."""
    rundir.write_json(folder / NAME, {"run": exported.identity, "name": exported.name, "digest": digest})


def found(folder: Path, exported: ExportRun) -> Earlier | None:
    """What the marker in ``folder`` says; None where there is no such folder, or an empty one.

    Raises:
        InputError: the folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    body = read_json(folder / NAME)
    if body is None or body.get("run") != exported.identity:
        holds = "files that lvmcheck did not write" if body is None else "another run of this name"
        raise InputError(folder, f"expected no such folder, got one with {holds}", fix="Another place: --into DIR.")
    return Earlier(str(folder), str(body.get("digest") or ""))
