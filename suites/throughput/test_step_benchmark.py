"""``step_benchmark`` on steps whose ratios are known, and its page as it stands."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lvmcheck.comparison.throughput.result import result_of
from lvmcheck.errors import InputError
from lvmcheck.testing.speed.kernels import GEMM, SIDE, SQUARE_FLOPS, copy, copy_bytes, gemm
from lvmcheck.testing.speed.step import Speed, StepBenchmark, _Devices
from lvmcheck.testing.speed.stopwatch import Place, clock
from suites.throughput import commands

CPU = torch.device("cpu")
PAGE = Path(__file__).parents[2] / "docs" / "throughput.md"
pytestmark = pytest.mark.usefixtures("cpu")


def about(spread: object, wanted: float) -> bool:
    """Whether a ratio of a few turns is nearer to what is wanted than to its double or half."""
    return wanted / 1.4 < spread.median < wanted * 1.4  # type: ignore[attr-defined]


def test_ratios_of_known_steps(step_benchmark: StepBenchmark, benchmark: object) -> None:
    product, half, memory = gemm(CPU), gemm(CPU), copy(CPU)

    def step() -> None:
        product()
        product()

    before = clock.place
    speed = step_benchmark(step, items=10, beside={"one": half, "memory": memory}, moved=1, rounds=15, warm_up=1)
    assert clock.place == before
    assert (speed.flops, speed.kernel, speed.place) == (2 * SQUARE_FLOPS, GEMM, Place(CPU, 1))
    assert about(speed.ratio, 2.0)
    assert about(speed.over["one"], 2.0)
    assert speed.of_gemm is not None
    assert about(speed.of_gemm, 1.0)
    assert speed.of_copy is not None
    assert speed.of_copy.median < 1e-6
    assert speed.items_per_second == pytest.approx(10 / speed.seconds.median)
    stored = result_of("step", benchmark.extra_info, "here")  # type: ignore[attr-defined]
    assert stored is not None
    assert (stored.relative, stored.calibration, stored.device) == (speed.ratio.median, GEMM, "cpu")
    assert stored.settings == {"dtype": "float32", "batch": 10, "threads": 1}
    lines = str(speed).splitlines()
    assert [line.partition(":")[0] for line in lines][:3] == ["a step", "items a second", f"over gemm{SIDE}-float32"]
    with pytest.raises(InputError, match="measures one step a test"):
        step_benchmark(step)


def test_a_step_that_only_moves_memory(step_benchmark: StepBenchmark) -> None:
    source, target = torch.ones(4 << 20), torch.empty(4 << 20)
    speed = step_benchmark(lambda: target.copy_(source + 1), moved=copy_bytes(CPU), rounds=2, warm_up=1)
    assert (speed.flops, speed.of_gemm, speed.items_per_second) == (0, None, None)
    assert speed.of_copy is not None
    if speed.peak_bytes is not None:
        assert 15 << 20 < speed.peak_bytes < 40 << 20  # the sum, in float32


def test_the_device_is_that_of_the_tensors() -> None:
    with _Devices() as seen:
        torch.ones(2) + torch.ones(2)
        torch.ones(2, device="meta") * 2
    assert seen.kinds == {"cpu", "meta"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda bench: bench(3), "step: expected a function of no argument, got int"),
        (lambda bench: bench(print, beside={"eager": None}), "eager: expected a function of no argument, got NoneType"),
        (lambda bench: bench(print, items=0), "items: expected a whole number above 0, got 0"),
        (lambda bench: bench(print, rounds=1.5), "rounds: expected a whole number above 0, got 1.5"),
        (lambda bench: bench(print, dtype="bf16"), "dtype: no dtype 'bf16'. Did you mean 'bfloat16'?"),
        (lambda bench: bench(list, device="cudo"), "device: no device 'cudo'. Did you mean 'cuda'?"),
    ],
)
def test_bad_input_is_one_line(call: Callable[[StepBenchmark], Speed], said: str) -> None:
    with pytest.raises(InputError) as caught:
        call(StepBenchmark(None))
    assert said in str(caught.value)


# -- in a project of somebody else's -----------------------------------------------------------------------------------
def project(folder: Path) -> Path:
    """The example of the page as a test file."""
    code = re.findall(r"^```python\n(# test_speed\.py\n.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (folder / "test_speed.py").write_text(code[0])
    return folder


def test_the_page_is_run_stored_and_compared(tmp_path: Path) -> None:
    folder = project(tmp_path)
    ours = ("-p", "benchmark", "-p", "lvmcheck.pytest_plugin.hooks", "-q", "-rs")
    first = commands.pytest(*ours, "-s", "--benchmark-json", "then.json", cwd=folder).output
    assert "1 passed, 1 skipped" in first or "2 passed" in first
    assert re.search(r"^over gemm1024-float32: [\d.]+ \([\d.]+ to [\d.]+\)$", first, re.MULTILINE)
    if os.environ.get("LVM_RELIABILITY") == "full":
        off = commands.pytest(*ours, "--benchmark-disable", "-k", "fast", cwd=folder).output
        assert "nothing is measured: --benchmark-disable is given" in off
        again = commands.pytest(*ours, "--lvm-throughput-compare", "then.json", cwd=folder, expect=(0, 1)).output
        assert re.search(r"(unchanged|slower|faster|not comparable).*test_speed\.py::test_a_step_is_fast", again)
