"""Asks a check that is not part of lvmcheck: in a thread of its own, within a time limit, whatever the check does.

It can neither leave (``sys.exit``, ``pytest.skip``, ``os._exit``, KeyboardInterrupt) nor hang nor answer with something
that is no outcome: each is an error of the check. Code in C that never returns to Python, kills the process or calls
``_exit`` itself is beyond this: such a session has no report, and the gate in CI refuses that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lvmcheck.checks.finding import Asked, Outcome, Verdict, Why, error
from lvmcheck.errors import InputError, excerpt

if TYPE_CHECKING:
    from lvmcheck.run.view import Run

LIMIT = 60.0
"""Seconds that a check may take for one look at a run."""
STANDARD = str(Path(threading.__file__).parent)
"""Where a check waits, rather than where it is wrong."""
HERE = __name__.partition(".")[0] + "."


def is_foreign(check: object) -> bool:
    return not type(check).__module__.startswith(HERE)


def ask(judge: Callable[[Run], Outcome], run: Run, limit: float = LIMIT) -> Outcome:
    """The check's answer, made of plain values; an error where it gave none.

    Args:
        judge: the check's own.
        limit: seconds that it may take.
    """
    _refuse_exits()
    asked = _Asking(judge, run)
    asked.start()
    asked.join(limit)
    if asked.is_alive():
        where = asked.interrupt()
        return error(f"the check did not answer within {limit:g} s{where}", Why.CRASHED)
    if asked.problem is not None:
        return crashed(asked.problem)
    return _checked(asked.answer)


def crashed(problem: BaseException) -> Outcome:
    """An error that names what the check raised."""
    try:
        text = excerpt(str(problem), 300)
    except BaseException:  # an exception without text of its own
        text = "(its text cannot be shown)"
    return error(f"the check itself crashed: {type(problem).__name__}: {text}", Why.CRASHED)


def _checked(answer: object) -> Outcome:
    if type(answer) is not Outcome:
        return error(f"the check returned {excerpt(type(answer).__name__)}, expected an Outcome", Why.CRASHED)
    from lvmcheck.checks.verdict_json import verdict_from_json, verdict_json

    verdict = Verdict(name="check", check="check", outcome=answer, asked=Asked(file=""))
    try:
        return verdict_from_json(verdict_json(verdict), "the check returned an Outcome that cannot be used").outcome
    except InputError as problem:
        return error(str(problem), Why.CRASHED)
    except Exception as problem:  # fields of any type
        return crashed(problem)


class _Asking(threading.Thread):
    """Waits for one answer. What the check raises stays in this thread."""

    def __init__(self, judge: Callable[[Run], Outcome], run: Run) -> None:
        super().__init__(name="lvmcheck-check", daemon=True)
        self.judge, self.view = judge, run
        self.answer: object = None
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer = self.judge(self.view)
        except BaseException as problem:
            self.problem = problem

    def interrupt(self) -> str:
        """Where it is; what is written in Python ends there soon."""
        frame = sys._current_frames().get(self.ident or 0)
        with contextlib.suppress(AttributeError, ctypes.ArgumentError):  # another Python than CPython
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident or 0), ctypes.py_object(SystemExit))
        while frame is not None and frame.f_code.co_filename.startswith(STANDARD):
            frame = frame.f_back
        return "" if frame is None else f": it was at {frame.f_code.co_filename}:{frame.f_lineno}"


def _refuse_exits() -> None:
    """Make ``os._exit`` raise in threads of checks, for good: one that was given up may call it late."""
    leave = os._exit
    if getattr(leave, "of_checks", False):
        return

    def guarded(status: int) -> NoReturn:
        if isinstance(threading.current_thread(), _Asking):
            raise SystemExit(f"os._exit({status})")
        leave(status)

    guarded.of_checks = True  # type: ignore[attr-defined]
    os._exit = guarded
