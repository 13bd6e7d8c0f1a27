"""The fixture ``step_benchmark``: anybody's training step or prediction, timed by the clock that fits its device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from lvmcheck.text.fit import fit

FIXTURE = "step_benchmark"


@pytest.fixture(name=FIXTURE)
def step_benchmark(request: pytest.FixtureRequest) -> Any:
    """Measures a step: ``speed = step_benchmark(step, items=64)`` (a
    :class:`lvmcheck.testing.speed.step.StepBenchmark`); skipped where benchmarks are off.
    """
    from lvmcheck.pytest_plugin.throughput import nothing_measured

    why = nothing_measured(request.config)
    if why is None and hasattr(request.config, "workerinput"):
        why = "xdist workers disturb each other's time"
    if why is not None:
        pytest.skip(fit(f"nothing is measured: {why}"))
    from lvmcheck.testing.speed.step import StepBenchmark

    return StepBenchmark(request.getfixturevalue("benchmark"))


def use_our_clock(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """pytest-benchmark reads the time of tests with the fixture from our clock."""
    if not config.pluginmanager.hasplugin("benchmark"):
        return
    for item in items:
        if FIXTURE in getattr(item, "fixturenames", ()):
            marked = item.get_closest_marker("benchmark")
            item.add_marker(pytest.mark.benchmark(**{**(marked.kwargs if marked else {}), "timer": read}), append=False)


def read() -> float:
    """Seconds by the clock of the place that is measured."""
    from lvmcheck.testing.speed.stopwatch import clock

    return clock()
