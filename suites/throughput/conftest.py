"""Measurements of speed, printed as tables; nothing here fails because a machine is slow (docs/performance.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lvmcheck.errors import InputError
from lvmcheck.pytest_plugin.options import option
from lvmcheck.testing.speed import machine
from lvmcheck.testing.speed.stopwatch import Place, clock
from suites.throughput.figures import FIGURES, Figures, markdown
from suites.throughput.places import THREADS, asked

FULL = os.environ.get("LVM_THROUGHPUT") == "full"
"""Whether time does not matter; otherwise few rounds, and nothing that takes long."""

QUICK = ("amn", "amn, prepared", "linear_mixture", "lstm")
"""The vector models of the quick form."""

HERE = Path(__file__).parent
COLUMNS = ["median", "iqr", "rounds"]  # of pytest-benchmark's own table: all of them are wider than a terminal
PLACE = pytest.StashKey[Place]()


# -- the place ---------------------------------------------------------------------------------------------------------
def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()
    if not getattr(config.option, "benchmark_columns", None):
        config.option.benchmark_columns = COLUMNS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One error for a place that this machine lacks, before anything is measured."""
    if not any(HERE in item.path.parents for item in items):
        return
    try:
        config.stash[PLACE] = asked(option(config, "--lvm-device"))
    except InputError as problem:
        raise pytest.UsageError(str(problem)) from None


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where measurements go."""
    return pytestconfig.stash[FIGURES]


@pytest.fixture
def timing(pytestconfig: pytest.Config) -> None:
    """Skips a measurement where its numbers would mean nothing."""
    if pytestconfig.getoption("benchmark_disable"):
        pytest.skip("measurements are off: --benchmark-disable")
    if hasattr(pytestconfig, "workerinput"):
        pytest.skip("measurements are off: xdist workers disturb each other's time")


@pytest.fixture
def place(pytestconfig: pytest.Config) -> Iterator[Place]:
    """The device and threads that were asked for, in use: one thread where nobody says, since two lose ten times over
    while anything else runs (history 17).
    """
    yield from _use(pytestconfig.stash[PLACE])


@pytest.fixture
def cpu() -> Iterator[Place]:
    """One thread of the CPU, for what no accelerator changes."""
    yield from _use(Place(torch.device("cpu"), 1))


def _use(chosen: Place) -> Iterator[Place]:
    before, place = torch.get_num_threads(), clock.place
    torch.set_num_threads(chosen.threads)
    clock.use(chosen)
    try:
        yield chosen
    finally:
        torch.set_num_threads(before)
        clock.use(place)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    if PLACE in config.stash:
        chosen = config.stash[PLACE]
        machine_info.update(machine.facts(chosen.device, chosen.threads))


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The vector model that a measurement is parametrised with."""
    if not FULL and request.param not in QUICK:
        pytest.skip("only with LVM_THROUGHPUT=full: it takes long")
    return str(request.param)


# -- the tables --------------------------------------------------------------------------------------------------------
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints what was measured, also in a session that was interrupted."""
    sections = config.stash[FIGURES].filled
    if not sections:
        return
    chosen = config.stash[PLACE]
    terminalreporter.section("throughput" if FULL else "throughput, quick form (LVM_THROUGHPUT=full for more rounds)")
    about = f"{machine.words(chosen.device)}, {chosen.words()}, load average {machine.load() or 0.0:.1f} at the end"
    for line in (f"Measured with `{command(chosen)}` on {about}.", "", *markdown(sections)):
        terminalreporter.write_line(line)


def command(chosen: Place) -> str:
    """What a person types to measure the same."""
    threads = f"{THREADS}={chosen.threads} " if chosen.threads > 1 else ""
    device = f" --lvm-device {chosen.device.type}" if chosen.device.type != "cpu" else ""
    return f"{'LVM_THROUGHPUT=full ' if FULL else ''}{threads}pytest suites/throughput{device}"
