"""Fixtures for models and loops: ``preflight``, ``overfit_batch``, ``resume_equal`` and ``same_trajectory``.

Nothing is imported, torch least of all, until one of them is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from lvmcheck.text.fit import fit

Losses = Callable[[], Iterable[Any]]


@pytest.fixture
def preflight() -> Callable[..., Any]:
    """:func:`lvmcheck.preflight` that fails the test where the report holds a failure; returns the report."""
    return _preflight


@pytest.fixture
def overfit_batch() -> Callable[..., Any]:
    """Fails the test unless the model learns one batch by heart; takes the arguments of :func:`lvmcheck.preflight`."""
    return _required("overfit_batch", budget=60.0)


@pytest.fixture
def resume_equal() -> Callable[..., Any]:
    """Fails the test unless a run resumed from a checkpoint goes on as the one that was not interrupted.

    Takes the arguments of :func:`lvmcheck.preflight`; an optimizer is needed.
    """
    return _required("resume_equal", budget=60.0)


@pytest.fixture
def same_trajectory() -> Callable[..., list[float]]:
    """Fails the test unless functions that each return the losses of a run return the same ones, within ``rtol``.

    ``same_trajectory(accumulated, whole, rtol=0.01)``: every function starts with the same random generators.
    """
    return _same_trajectory


def _preflight(*arguments: Any, **options: Any) -> Any:
    __tracebackhide__ = True
    report = _report(*arguments, **options)
    if not report:
        pytest.fail(fit(report), pytrace=False)
    return report


def _report(*arguments: Any, **options: Any) -> Any:
    __tracebackhide__ = True
    import lvmcheck

    try:
        return lvmcheck.preflight(*arguments, **options)
    except lvmcheck.InputError as problem:
        return pytest.fail(fit(problem), pytrace=False)


def _required(probe: str, budget: float) -> Callable[..., Any]:
    """A pre-flight of one probe, which has to pass: not applicable is not enough."""

    def check(*arguments: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        from lvmcheck.checks.finding import Status

        report = _report(*arguments, **{"budget_s": budget, **options, "only": [probe]})
        if report[probe].status is not Status.PASSED:
            pytest.fail(fit(report), pytrace=False)
        return report[probe]

    return check


def _same_trajectory(*runs: Losses, rtol: float = 1e-4, atol: float = 1e-8) -> list[float]:
    __tracebackhide__ = True
    from lvmcheck.checks.wording import figure, plural

    if len(runs) < 2:
        pytest.fail("same_trajectory: expected at least two functions that return losses", pytrace=False)
    first, *others = [_losses(run) for run in runs]
    if not first:
        pytest.fail(fit(f"same_trajectory: {_name(runs[0])} returned no losses"), pytrace=False)
    for run, losses in zip(runs[1:], others, strict=True):
        if len(losses) != len(first):
            lengths = f"{plural(len(first), 'loss', 'losses')} and {len(losses)}"
            pytest.fail(fit(f"same_trajectory: {_name(runs[0])} and {_name(run)} returned {lengths}"), pytrace=False)
        for step, (one, other) in enumerate(zip(first, losses, strict=True), start=1):
            if not math.isclose(one, other, rel_tol=rtol, abs_tol=atol):
                between = f"{_name(runs[0])} {figure(one)}, {_name(run)} {figure(other)}"
                where = f"losses differ from step {step} on"
                pytest.fail(fit(f"same_trajectory: {where}: {between} (rtol {rtol:g})"), pytrace=False)
    return first


def _losses(run: Losses) -> list[float]:
    from lvmcheck.watch.preflight.state import SavedGenerators

    generators = SavedGenerators()
    try:
        return [float(loss) for loss in run()]
    finally:
        generators.restore()


def _name(run: Losses) -> str:
    return getattr(run, "__name__", type(run).__name__)
