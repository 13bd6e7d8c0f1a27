"""A project of somebody else's whose benchmarks state the results that ``pace.json`` holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np  # noqa: F401 - inner sessions must not import it anew: numpy refuses
import pytest

OPTIONS = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-W", "error", "-ra", "--benchmark-quiet")
FILE = "test_pace.py"
BENCHMARKS = """
import json
from pathlib import Path
import pytest

@pytest.mark.parametrize("batch", [1, 32])
def test_step(benchmark, batch):
    state(benchmark, f"step[{batch}]")

def test_load(benchmark):
    state(benchmark, "load")

def state(benchmark, name):
    info = json.loads(Path("pace.json").read_text()).get(name, {})
    with Path("calls.log").open("a") as calls:
        calls.write(name + "\\n")
    if isinstance(info, list):  # one after the other, the last for ever
        info = info[min(Path("calls.log").read_text().splitlines().count(name), len(info)) - 1]
    if "skip" in info:
        pytest.skip(info["skip"])
    if info.get("interrupt"):
        raise KeyboardInterrupt
    assert not info.get("fails"), "as told"
    benchmark.pedantic(lambda: None, rounds=2)
    benchmark.extra_info.update(info)
"""
STEP_1, STEP_32, LOAD = (f"{FILE}::{name}" for name in ("test_step[1]", "test_step[32]", "test_load"))


def stated(relative: float, *, spread: float = 0.02, device: str = "cpu", **more: Any) -> dict[str, Any]:
    """The ``extra_info`` of a benchmark."""
    low, high = relative * (1 - spread), relative * (1 + spread)
    info = {"relative": relative, "relative_low": low, "relative_high": high, "device": device}
    return {**info, "calibration": "gemm1024-float32", **more}


ALL = {"step[1]": stated(0.5), "step[32]": stated(4.0), "load": stated(1.5)}


class Paced:
    """A folder with ``test_pace.py``, the results it will state, and pytest in it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        (self.path / FILE).write_text(BENCHMARKS)
        (self.path / "pytest.ini").write_text("[pytest]\n")
        self.pace()

    def pace(self, **changes: Mapping[str, Any] | list[Mapping[str, Any]]) -> None:
        """Every benchmark as in :data:`ALL`, but for these; ``step_32`` is ``step[32]``, a list is stated in turn."""
        (self.path / "calls.log").unlink(missing_ok=True)
        named = {name.replace("_", "[") + "]" if "_" in name else name: info for name, info in changes.items()}
        (self.path / "pace.json").write_text(json.dumps({**ALL, **named}))

    def calls(self, name: str) -> int:
        """How often a benchmark was run since its pace was set."""
        return (self.path / "calls.log").read_text().splitlines().count(name)

    def pytest(self, *args: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(*OPTIONS, *args)

    def save(self, name: str = "then.json") -> Path:
        """The document of a session."""
        self.pytest("--benchmark-json", name)
        return self.path / name

    def compare(self, *args: str, name: str = "then.json") -> pytest.RunResult:
        return self.pytest("--lvm-throughput-compare", name, *args)


@pytest.fixture
def paced(pytester: pytest.Pytester) -> Paced:
    return Paced(pytester)
