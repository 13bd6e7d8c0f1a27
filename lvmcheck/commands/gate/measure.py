"""Data before training: opened, measured, and judged by every gate."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lvmcheck.checks.data._gate import Gate
from lvmcheck.checks.finding import Status, Verdict, Why
from lvmcheck.checks.protocol import Check, check_names, evaluate, load_check
from lvmcheck.errors import BadValueError, InputError
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

HOME = "models.data.gates.path"
"""Module whose ``measure_path(config)`` opens and measures data; found by name, because lvmcheck imports no models."""


def gates(*, expected: int | None = None) -> list[Check]:
    """Every gate of vectors with its defaults; ``expected`` is the number of articles, where it is known.

    Raises:
        InputError: an impossible number of articles.
    """
    chosen: list[Check] = []
    for name in check_names():
        kind = load_check(name)
        if issubclass(kind, Gate) and kind.data == "vectors":
            keys: dict[str, Any] = {"expected": expected} if name == "groups" and expected is not None else {}
            try:
                chosen.append(kind(**keys))
            except BadValueError as problem:
                raise InputError("--expected-articles", problem.problem) from None
    return chosen


def gate_data(config: Mapping[str, object], *, expected: int | None = None) -> tuple[Run, list[Verdict]]:
    """The data of ``config`` as a run without any training, and the verdict of every gate.

    Args:
        config: path, ood, reference, texts, golden, encoder, context (``models.data.config.PathConfig``).
        expected: number of articles that the data should have.

    Raises:
        InputError: data that cannot be read, or no module that reads them.
    """
    chosen = gates(expected=expected)
    dataset, facts = measurer()(config)
    data = ev.Data(name=dataset.name, fingerprint=dataset.fingerprint, facts=facts, notes=tuple(dataset.notes))
    run = Run(events=(data,), done={"status": "finished"})
    return run, [_required(item) for item in evaluate(run, chosen)]


def _required(verdict: Verdict) -> Verdict:
    """What a gate needs and the data do not hold is an error, unless their format cannot hold it."""
    if verdict.status is not Status.NOT_RECORDED or verdict.outcome.why is Why.NOT_IN_FORMAT:
        return verdict
    return replace(verdict, outcome=replace(verdict.outcome, status=Status.ERROR))


def measurer() -> Callable[[Mapping[str, object]], tuple[Any, dict[str, ev.Value]]]:
    """``measure_path`` of :data:`HOME`."""
    try:
        module = importlib.import_module(HOME)
    except ModuleNotFoundError as problem:
        if problem.name is None or not HOME.startswith(problem.name):
            raise InputError(HOME, f"cannot be imported: no module {problem.name!r}") from None
        fix = "Run lvmcheck from the root of its repository, or put that on PYTHONPATH."
        raise InputError("lvmcheck gate", f"no module {HOME!r}", fix=fix) from None
    except ImportError as problem:
        raise InputError(HOME, f"cannot be imported ({problem})") from None
    measure: Callable[[Mapping[str, object]], tuple[Any, dict[str, ev.Value]]] = module.measure_path
    return measure
