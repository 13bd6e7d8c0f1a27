"""SQLite stores of other loggers, opened so that nothing in them can write or run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.errors import InputError
from lvmcheck.readers._files import head, inside
from lvmcheck.readers._records import bounded

if TYPE_CHECKING:
    import sqlite3

MAGIC = b"SQLite format 3\0"


def store_at(path: Path) -> Path | None:
    """The store: the file itself, or the only one in a folder."""
    if path.is_file():
        return path
    found = [place for place in inside(path, "*.db") if head(place, 16).startswith(MAGIC)]
    return found[0] if len(found) == 1 else None


def holds(path: Path, wanted: set[str]) -> bool:
    """Whether there is a store with these tables; never raises."""
    place = store_at(path)
    if place is None or not head(place, 16).startswith(MAGIC):
        return False
    import sqlite3

    try:
        with opened(place) as store:
            return tables(store) >= wanted
    except (InputError, sqlite3.Error, UnicodeDecodeError):  # SQLite's own message may hold any bytes
        return False


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, for reading alone."""
    import sqlite3
    from urllib.parse import quote

    bounded(path)
    with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as store:
        store.text_factory = lambda raw: raw.decode(errors="replace")
        store.execute("PRAGMA trusted_schema = OFF")
        store.execute("PRAGMA query_only = ON")
        store.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 20)
        yield store


def tables(store: sqlite3.Connection) -> set[str]:
    """Names of real tables; a view could compute for ever."""
    return {str(name) for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
