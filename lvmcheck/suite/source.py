"""A TOML file from outside, read with limits: bounded, decoded, parsed, with the line of every key."""

from __future__ import annotations

import datetime
import difflib
import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lvmcheck.errors import InputError, excerpt, nearest, several
from lvmcheck.suite.lines import MAX_DEPTH, KeyPath, Lines, scan

MAX_BYTES = 1_000_000
_REPEATED = ("Cannot declare", "Cannot overwrite", "Cannot mutate", "Cannot redefine", "Duplicate inline")
_MARKS = (
    (b"\xef\xbb\xbf", "a UTF-8 byte order mark (EF BB BF)"),
    (b"\xff\xfe", "a UTF-16 byte order mark (FF FE)"),
    (b"\xfe\xff", "a UTF-16 byte order mark (FE FF)"),
)
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:\.[ \t]*+{_PART}){{{MAX_DEPTH}}}")
_SAVE = "Save the file as UTF-8 without a byte order mark."


@dataclass(frozen=True)
class Source:
    """A parsed TOML file: its ``path`` as the person named it, its ``text`` and its ``table``."""

    path: Path
    text: str = field(repr=False)
    table: dict[str, object] = field(repr=False)

    @cached_property
    def lines(self) -> Lines:
        return scan(self.text)

    def error(self, at: KeyPath, problem: str, *, key: str | None = None, fix: str | None = None) -> InputError:
        """The error of the key ``at``; ``key`` replaces the dotted path that is shown."""
        shown = dotted(at) if key is None else key
        return InputError(self.path, problem, line=self.lines.nearest(at), key=shown or None, fix=fix)


def read_source(path: Path) -> Source:
    """Read and parse ``path``.

    Raises:
        InputError: missing, not a regular file, over 1 MB, not clean UTF-8, not TOML, nested too deep, or holding a
            value that no suite can use (a date, a number that is not finite or beyond 64 bits).
    """
    text = _decode(path, _read(path))
    source = Source(path, text, _parse(path, text))
    for at, value in _walk(source.table):
        if len(at) > MAX_DEPTH:
            raise source.error(
                at, f"expected at most {MAX_DEPTH} levels of keys and arrays, got more", key=dotted(at[:1])
            )
        if isinstance(value, datetime.date | datetime.time):
            raise source.error(at, f"expected string, number, boolean, array or table, got date {value}")
        if isinstance(value, float) and not math.isfinite(value):
            raise source.error(at, f"expected a finite number, got {value}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise source.error(at, "expected an integer of at most 64 bits, got a larger one")
    return source


def dotted(path: KeyPath) -> str:
    """``run.loss.mse``; a key that TOML would quote is quoted, ``check[2].floor`` counts from 0."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", part) is not None
            text = part if plain else f'"{excerpt(part)}"'
            shown += f".{text}" if shown else text
    return shown


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        data = b""
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(path, "not found", fix=_near(path)) from None
    except (OSError, ValueError) as problem:
        raise InputError(excerpt(str(path), 200), f"cannot be read ({_reason(problem)})") from None
    if stat.S_ISDIR(mode):
        inside = [item.name for item in path.glob("*.toml")]
        raise InputError(path, "expected a suite file, got a directory", fix=nearest("suite.toml", inside))
    if not stat.S_ISREG(mode):
        raise InputError(path, "expected a regular file")
    if len(data) > MAX_BYTES:
        raise InputError(path, f"expected a suite of at most {MAX_BYTES:,} bytes, got more")
    return data


def _reason(problem: Exception) -> str:
    return (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)


def _near(path: Path) -> str | None:
    """Up to three TOML files that may be meant: beside ``path``, or in a folder named much like its own."""
    folder, above = path.parent, path.parent.parent
    try:
        found = sorted(folder.glob("*.toml")) if folder.is_dir() else sorted(above.glob(f"*/{path.name}"))
    except OSError:
        return None
    close = difflib.get_close_matches(str(path), [str(item) for item in found[:500]], n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    suites = sorted(str(item.parent) for item in Path("suites").glob("*/suite.toml"))[:500]
    return f"Suites here: {several(suites, 4)}." if suites else "`lvmcheck init` writes one."


def _decode(path: Path, data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            raise InputError(path, f"starts with {name} at byte 0", line=1, fix=_SAVE)
    if (at := data.find(b"\0")) >= 0:
        wide = at < 4 and data[at::2].count(0) > len(data) // 4
        kind = "a NUL byte (00), as in UTF-16 text," if wide else "a NUL byte (00)"
        raise InputError(path, f"{kind} at byte {at}", line=data.count(b"\n", 0, at) + 1, fix=_SAVE if wide else None)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise InputError(
            path, f"not UTF-8: byte 0x{data[problem.start]:02x} at byte {problem.start}", line=line, fix=_SAVE
        ) from None
    if not text.strip():
        raise InputError(path, "the file is empty")
    text = text.replace("\r\n", "\n")
    if (at := text.find("\r")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise InputError(path, "a carriage return without a line feed", line=line, fix="End lines with LF or CR LF.")
    return text


def _parse(path: Path, text: str) -> dict[str, object]:
    import tomli

    # Before parsing: a megabyte of keys of 900 parts takes the parser 10 s and 1.7 GB.
    long = _LONG_KEY.search(text)
    if long is not None:
        problem = f"expected keys of at most {MAX_DEPTH} parts, got `{excerpt(long[0], 30)}`"
        raise InputError(path, problem, line=text.count("\n", 0, long.start()) + 1)
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as problem:
        raise _not_toml(path, text, problem.msg, problem.pos, problem.lineno, problem.colno) from None
    except (RecursionError, ValueError) as problem:
        raise InputError(path, f"not usable as TOML: {excerpt(str(problem), 100)}") from None


def _not_toml(path: Path, text: str, message: str, pos: int, line: int, column: int) -> InputError:
    if message.startswith(_REPEATED):
        clash = scan(text).clash(len(text[:pos].encode()))
        if clash is not None:
            at, second, first = clash
            return InputError(path, f"defined twice, first on line {first}", line=second, key=dotted(at))
    if pos >= len(text.rstrip()):
        line = text.rstrip().count("\n") + 1
        column = len(text.rstrip()) - (text.rstrip().rfind("\n") + 1) + 1
    shown = excerpt(text.split("\n")[line - 1].strip())
    end = " at the end of the file (truncated?)" if pos >= len(text.rstrip()) else ""
    return InputError(path, f"not TOML at column {column}: {message}{end} in `{shown}`", line=line)


def _walk(table: dict[str, object]) -> Iterator[tuple[KeyPath, object]]:
    """Every value with its path, in document order."""
    stack: list[tuple[KeyPath, object]] = [((), table)]
    while stack:
        path, value = stack.pop()
        yield path, value
        if isinstance(value, dict):
            stack.extend(((*path, key), item) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend(((*path, index), item) for index, item in reversed(list(enumerate(value))))
