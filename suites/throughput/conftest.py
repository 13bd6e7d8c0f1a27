"""Measurements of speed, printed as one table; nothing here fails because a machine is slow (docs/performance.md)."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from suites.throughput.figures import FIGURES, Figures, markdown, plain

FULL = os.environ.get("LVM_THROUGHPUT") == "full"
"""Whether time does not matter; otherwise few rounds, and nothing that takes long."""

DOCUMENT = "LVM_THROUGHPUT_WRITE"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


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
def one_thread() -> Iterator[None]:
    """One thread, on purpose: the suites' default, and two lose ten times over while anything else runs (facts E4)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    rows = config.stash[FIGURES].rows
    if not rows:
        return
    terminalreporter.section("throughput" if FULL else "throughput, quick form (LVM_THROUGHPUT=full for more rounds)")
    for line in plain(rows):
        terminalreporter.write_line(line)
    if os.environ.get(DOCUMENT) and exitstatus:
        terminalreporter.write_line(f"{os.environ[DOCUMENT]} stays as it is: a measurement is missing")
    elif os.environ.get(DOCUMENT):
        write(Path(os.environ[DOCUMENT]), markdown(rows))


def write(path: Path, table: list[str]) -> None:
    """Replaces what stands between the two marks of the document by this machine and these figures."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise pytest.UsageError(f"{path}: expected the marks {BEGIN} and {END} once each")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    command = "LVM_THROUGHPUT=full pytest suites/throughput" if FULL else "pytest suites/throughput"
    said = [f"Measured {time.strftime('%Y-%m-%d', time.gmtime())} with `{command}` on {machine()}.", "", *table]
    path.write_text(f"{head}{BEGIN}\n" + "\n".join(said) + f"\n{END}{tail}", encoding="utf-8")


def machine() -> str:
    """This machine in words, without its name."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    level = torch.backends.cpu.get_cpu_capability()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{os.cpu_count()} cores of {model} ({level}), {platform.system()}, {versions}"
