"""The one error for bad input: it names file and key, what was expected, what came and the nearest valid name."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lvmcheck.text.fit import excerpt as excerpt
from lvmcheck.text.fit import one_line


class InputError(ValueError):
    """Bad input: a suite file, data, checkpoint, history or option that cannot be used as it is.

    Printed as ``where[:line]: [key: ]problem. fix`` on one line, never with a traceback.

    Args:
        where: the file, option or object at fault, as the person would name it.
        problem: what was expected and what came.
        line: 1-based line in ``where``, when known.
        key: dotted path of the offending key, array or column inside ``where``.
        fix: what to do next.
        id: of the message, where another process made it.
    """

    def __init__(
        self,
        where: str | Path,
        problem: str,
        *,
        line: int | None = None,
        key: str | None = None,
        fix: str | None = None,
        id: str | None = None,
    ) -> None:
        self._id, self._made = id, _caller()
        self.where = str(where)
        self.problem = problem
        self.line = line
        self.key = key
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        where = self.where if self.line is None else f"{self.where}:{self.line}"
        key = f"{self.key}: " if self.key else ""
        problem = self.problem.rstrip(".")
        fix = f" {self.fix}" if self.fix else ""
        return one_line(f"{where}: {key}{problem}.{fix}")

    @property
    def id(self) -> str | None:
        """``LVM-0123``: which message it is (docs/errors.md); None where its source is not at hand."""
        return self._id or _id_of(self._made, self.__context__)

    def to_json(self) -> dict[str, object]:
        """A plain dict from which :meth:`from_json` makes the same error in another process."""
        own = {"where": self.where, "problem": self.problem, "line": self.line, "key": self.key, "fix": self.fix}
        return {**own, "id": self.id}

    @classmethod
    def from_json(cls, data: dict[str, object]) -> InputError:
        line, key, fix = data.get("line"), data.get("key"), data.get("fix")
        return cls(
            str(data["where"]),
            str(data["problem"]),
            line=line if isinstance(line, int) else None,
            key=None if key is None else str(key),
            fix=None if fix is None else str(fix),
            id=str(data["id"]) if isinstance(data.get("id"), str) else None,
        )


class BadValueError(ValueError):
    """A value that a key cannot have; whoever knows file and line makes an :class:`InputError` of it.

    Args:
        key: the key whose value is refused.
        problem: what was expected and what came.
        fix: what to do next, such as the nearest valid name.
    """

    def __init__(self, key: str, problem: str, fix: str | None = None) -> None:
        super().__init__(one_line(f"{key}: {problem}"))
        self._made = _caller()
        self.key = key
        self.problem = problem
        self.fix = fix

    @property
    def id(self) -> str | None:
        """As that of :class:`InputError`."""
        return _id_of(self._made, self.__context__)


def _caller() -> tuple[str, int]:
    """Where the error that calls this is made."""
    frame = sys._getframe(2)
    return frame.f_code.co_filename, frame.f_lineno


def _id_of(made: tuple[str, int], context: BaseException | None) -> str | None:
    """The id of the message that is made there, or of the one that was caught and is only passed on."""
    from lvmcheck.text.catalogue import PASSED_ON, row_at

    row = row_at(*made)
    if row is not None and row.message != PASSED_ON:
        return row.id
    inner = context.id if isinstance(context, InputError | BadValueError) else None
    return inner or (None if row is None else row.id)


def nearest(name: str, known: Iterable[str], others: str = "") -> str:
    """``Did you mean 'x'?`` for the closest known name, else what exists, or the three nearest of more than eight.

    Args:
        others: where all of more than eight stand.
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    if not names:
        return "None exist."
    if len(names) <= 8:
        return f"Known: {', '.join(names)}."
    holding = [known for known in names if name and (name in known or known in name)]
    near = holding or difflib.get_close_matches(name, names, n=3, cutoff=0.0)
    return f"Nearest: {', '.join(near[:3])}. {others}".rstrip()


def several(names: Sequence[str], most: int) -> str:
    """``a, b, c and 4 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
