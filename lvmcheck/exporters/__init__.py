"""Runs as other loggers write them: one file a logger, found by presence; the module's name is the kind.

An exporter module defines ``earlier(into, exported) -> Earlier | None`` (an export of the same run that is there
already) and ``begin(into, exported) -> Sink``. It imports its package when it begins, and nothing it does needs a
network.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from lvmcheck.errors import InputError, nearest
from lvmcheck.exporters.entry import End, ExportRun, Scalars, TextTable

EXPORTERS = Path(__file__).parent
SHARED = ("entry", "feed", "follow", "marker", "names", "stream", "export_run", "written_back")
"""Modules of this package that are no exporters."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An export that is there already: where, and the digest of what it shows ("" where it did not come to its end)."""

    place: str
    digest: str


class Sink(Protocol):
    """Where one run's entries go."""

    place: str

    def scalars(self, entry: Scalars) -> None:
        """Write numbers."""
        ...

    def text(self, table: TextTable) -> None:
        """Write text."""
        ...

    def flush(self) -> None:
        """Make what was written visible to those who look on."""
        ...

    def close(self, end: End | None) -> None:
        """Say how the run ended and let go; without ``end`` the export was broken off."""
        ...


class Exporter(Protocol):
    """What a module below this package offers."""

    def earlier(self, into: Path, exported: ExportRun) -> Earlier | None:
        """An export of this run that is in ``into`` already; raises InputError where another run is in its place."""
        ...

    def begin(self, into: Path, exported: ExportRun) -> Sink:
        """A new export; raises InputError where the package is missing or nothing can be written."""
        ...


def kinds() -> list[str]:
    """Loggers that can be exported to, from the file system alone."""
    found = (path.stem for path in EXPORTERS.glob("*.py") if not path.stem.startswith("_"))
    return sorted(name for name in found if name not in SHARED)


def exporter(kind: str) -> Exporter:
    """The exporter of that kind.

    Raises:
        InputError: there is none.
    """
    if kind not in kinds():
        raise InputError(f"--to {kind}", "no such logger", fix=nearest(kind, kinds()))
    return cast(Exporter, importlib.import_module(f"{__name__}.{kind}"))
