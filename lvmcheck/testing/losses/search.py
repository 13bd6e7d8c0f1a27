"""The search for the smallest batch that breaks a law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from lvmcheck.errors import InputError
from lvmcheck.testing.losses.batches import Batch
from lvmcheck.testing.losses.breach import Breach
from lvmcheck.testing.losses.broken import BrokenLawError
from lvmcheck.testing.losses.lines import line_of

Loss = Callable[..., Tensor]
Judge = Callable[[Batch], "Breach | bool"]
"""What a batch shows: a breach, else whether the law could be judged on it."""


PATIENCE = 150
"""Batches that are tried to find a smaller one."""


class _FoundError(Exception):
    """A batch breaks the law; hypothesis goes on to a smaller one."""


class _EnoughError(BaseException):
    """Small enough; hypothesis takes an Exception for another failure."""


def search(law: str, loss: Loss, judge: Judge, batches: SearchStrategy[Batch], examples: int, *more: object) -> int:
    """Number of batches on which the law was judged, and held.

    Args:
        more: further arguments that the loss is called with.

    Raises:
        BrokenLawError: a batch breaks it; the smallest that was found.
        InputError: it could be judged on no batch, or ``loss`` and ``batches`` are none.
    """
    __tracebackhide__ = True
    _check(law, loss, batches, examples)
    found: list[Breach] = []
    tried: list[bool] = []
    judged: list[bool] = []

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, print_blob=False,
        report_multiple_bugs=False, suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet,
    )  # fmt: skip
    @given(batches)
    def holds(batch: Batch) -> None:
        tried.append(bool(found))
        if sum(tried) > PATIENCE:
            raise _EnoughError
        shown = judge(batch)
        if isinstance(shown, Breach):
            found.append(shown)
            raise _FoundError
        judged.append(shown)

    try:
        holds()
    except (_FoundError, _EnoughError):
        raise broken(law, loss, min(reversed(found), key=_size), *more) from None
    if not any(judged):
        raise InputError(_name(loss), f"{law} could be judged on none of {len(judged)} batches", key=law)
    return sum(judged)


def _size(breach: Breach) -> tuple[int, int]:
    values = breach.batch.prediction
    return values.numel(), int(values.count_nonzero())


def broken(law: str, loss: Loss, breach: Breach, *more: object) -> BrokenLawError:
    """The error, with the line to look at."""
    return BrokenLawError(law, _name(loss), breach, line_of(law, loss, breach.batch, *more))


def _name(loss: Any) -> str:
    return str(getattr(loss, "__qualname__", type(loss).__name__)).rpartition("<locals>.")[2]


def _check(law: str, loss: object, batches: object, examples: object) -> None:
    if not callable(loss):
        raise InputError(law, f"expected a function of prediction and target, got {type(loss).__name__}", key="loss")
    if not isinstance(batches, SearchStrategy):
        fix = "Call it: losses.vectors()." if callable(batches) else None
        raise InputError(law, f"expected a strategy of batches, got {type(batches).__name__}", key="batches", fix=fix)
    if not isinstance(examples, int) or isinstance(examples, bool) or examples < 1:
        raise InputError(law, f"expected a number of batches above 0, got {examples!r}", key="examples")
