"""What something is that no reader knows: one short line, and what to do with it."""

from __future__ import annotations

import difflib
import json
import stat
from pathlib import Path

from lvmcheck.errors import InputError, excerpt, several
from lvmcheck.readers._elsewhere import must_export
from lvmcheck.readers._files import head, inside
from lvmcheck.run.curves import PRIMARY
from lvmcheck.run.roles import by_name

LOOK = 1 << 16
"""Bytes of a file that are looked at."""
MOST = 500
"""Paths that are compared with one that is not there."""
UTF16 = "Convert it to UTF-8: iconv -f UTF-16 -t UTF-8."
UNPACK = "Unpack it first."
WRITTEN = "Has the training written anything?"
TABLE = "Write the log as CSV or JSON lines."
MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\xfe", "UTF-16 text", UTF16),
    (b"\xfe\xff", "UTF-16 text", UTF16),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"PK\x03\x04", "a zip archive, as torch.save and numpy.savez write", TABLE),
    (b"\x80\x02", "a pickle, which is never loaded", TABLE),
    (b"\x80\x03", "a pickle, which is never loaded", TABLE),
    (b"\x80\x04", "a pickle, which is never loaded", TABLE),
    (b"\x80\x05", "a pickle, which is never loaded", TABLE),
    (b"\x93NUMPY", "a numpy array", TABLE),
    (b"\x89HDF", "an HDF5 file", TABLE),
    (b"PAR1", "a Parquet file", TABLE),
    (b"SQLite format 3\0", "an SQLite database that is no store of MLflow or Trackio", ""),
    (b"%PDF", "a PDF", ""),
    (b"\x89PNG", "an image", ""),
    (b"\xff\xd8\xff", "an image", ""),
    (b"\x7fELF", "a program", ""),
)
SHEET = ("an Excel file", "Save the sheet as CSV.")
NOTEBOOK = ("a notebook", "Save what its training printed as .txt, or its history as CSV or JSON.")
RESULTS = "It holds results alone; the course of the run is in its log, such as trainer_state.json beside it."
KINDS = {stat.S_ISFIFO: "a FIFO", stat.S_ISSOCK: "a socket", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device"}


def refuse_irregular(path: Path) -> None:
    """Refuse what is neither a file nor a folder: reading it may wait for ever.

    Raises:
        InputError: it is a FIFO, a socket, a device, or cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(
            path, "expected a recorded run, got nothing: no such file or directory", fix=_nearest_run(path)
        ) from None
    except (OSError, ValueError) as problem:
        raise InputError(path, f"cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    what = next((name for is_kind, name in KINDS.items() if is_kind(mode)), None)
    if what is not None:
        raise InputError(path, f"expected a recorded run, got {what}", fix="Give a file or a folder.")


def _nearest_run(path: Path) -> str:
    """The path that may be meant, or the runs that are there, or how one is made."""
    home = path.parent if path.parent.is_dir() else Path()
    usual = [] if path.is_absolute() else [*inside(Path("runs"), "*"), *inside(Path(".lvmcheck/runs"), "*/*")]
    places = [*inside(home, "*"), *usual][:MOST]
    known = list(dict.fromkeys(str(place) for place in places if not place.name.startswith(".")))
    by_name = {Path(place).name: place for place in reversed(known)}
    close = difflib.get_close_matches(path.name, list(by_name), n=1, cutoff=0.6)
    if close:
        return f"Did you mean {by_name[close[0]]!r}?"
    runs = [name for name in known if (Path(name) / "events.jsonl").is_file()]
    return f"Runs here: {several(runs, 3)}." if runs else "`lvmcheck run SCRIPT` or lvmcheck.record(PATH) makes one."


def unknown(path: Path, kinds: list[str]) -> InputError:
    """The error for a file or folder that no reader knows."""
    what, fix = _folder(path) if path.is_dir() else _file(path)
    fix = fix or f"Kinds (--kind): {', '.join(kinds)}."
    return InputError(path, f"expected a recorded run, got {what}", fix=fix)


def _folder(path: Path) -> tuple[str, str]:
    export = must_export(path)
    if export is not None:
        return "one of a logger whose store is not read", export
    names = [entry.name for entry in inside(path, "*")]
    if not names:
        return "an empty folder", WRITTEN
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    shown = ", ".join(excerpt(name, 40) for name in names[:3])
    runs = [name for name in names if (path / name / "events.jsonl").is_file()]
    if runs:
        return f"a folder of {len(runs)} of them", f"Name one, such as {path / runs[0]}."
    return f"a folder without one ({shown}{more})", "Name the file of the log."


def _file(path: Path) -> tuple[str, str]:
    start = head(path, LOOK)
    if not start:
        return "an empty file", WRITTEN
    known = next(((what, fix) for magic, what, fix in MAGIC if start.startswith(magic)), None)
    if known is not None:
        return SHEET if path.suffix.lower() in (".xlsx", ".xlsm") else known
    if b"\0" in start:
        zeros = sorted((start[::2].count(0), start[1::2].count(0)))
        text = 2 * zeros[1] > 0.8 * len(start) and 2 * zeros[0] < 0.2 * len(start)
        return ("UTF-16 text", UTF16) if text else ("binary data", TABLE)
    return _text(path, start.decode("utf-8-sig", errors="replace"))


def _text(path: Path, said: str) -> tuple[str, str]:
    stripped = said.lstrip()
    if not stripped:
        return "a file of blank lines", WRITTEN
    if stripped[:14].lower().startswith(("<!doctype html", "<html")):
        return "an HTML page", "Was it a download link that asked for a login?"
    if path.suffix.lower() == ".ipynb":
        return NOTEBOOK
    if stripped.startswith(("{", "[")):
        return _json(path, said)
    return f"text that begins {excerpt(stripped.splitlines()[0], 40)!r}", ""


def _json(path: Path, said: str) -> tuple[str, str]:
    """What a JSON text is, and what to do where it holds results alone."""
    if path.stat().st_size > LOOK:
        return "JSON without a history of epochs or steps", ""
    try:
        body = json.loads(said)
    except RecursionError:
        return "JSON that is nested too deeply", ""
    except ValueError:
        return "text that begins like JSON and is none", ""
    names = (
        [str(key) for key, value in body.items() if isinstance(value, int | float)] if isinstance(body, dict) else []
    )
    keys = ", ".join(excerpt(key, 20) for key in list(body)[:4]) if isinstance(body, dict) else ""
    found = f"JSON without a history of epochs or steps{f' (keys {keys})' if keys else ''}"
    return found, RESULTS if any(by_name(name).quantity in PRIMARY for name in names) else ""
