"""The instruments of the measurements, held to cases whose answer is known."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.comparison.throughput.result import result_of
from lvmcheck.errors import InputError
from lvmcheck.testing.speed.machine import cpu_model, facts, last_cache, physical_cores
from lvmcheck.testing.speed.memory import PeakMemory
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, Stopwatch
from lvmcheck.testing.speed.turns import Spread, Turns, bracketed, take_turns
from suites.throughput.figures import SECTIONS, Figures, markdown, percent
from suites.throughput.places import place

CPU = Place(torch.device("cpu"), 1)
SPEED = st.floats(0.1, 10.0)


# -- turns -------------------------------------------------------------------------------------------------------------
@settings(derandomize=True, max_examples=50)
@given(factor=SPEED, start=SPEED, drift=st.floats(0.0, 1.0), rounds=st.integers(1, 20))
def test_a_steady_drift_of_the_machine_cancels(factor: float, start: float, drift: float, rounds: int) -> None:
    reference = [start + drift * 2 * i for i in range(rounds + 1)]
    subject = [factor * (start + drift * (2 * i + 1)) for i in range(rounds)]
    assert bracketed(subject, reference) == pytest.approx([factor] * rounds)


def test_a_reference_that_was_not_measured_around_every_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="n \\+ 1"):
        bracketed([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="n >= 1"):
        bracketed([], [1.0])


def test_one_disturbed_turn_does_not_move_the_median() -> None:
    turns = Turns([2.0, 2.0, 90.0, 2.0, 2.0], {"bare": [1.0] * 6, "half": [0.5] * 6})
    assert turns.over("bare") == Spread(2.0, 2.0, 2.0)
    assert turns.between("bare", "half").median == 2.0
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]).words(str) == "3.0 (2.0 to 4.0)"


@pytest.mark.usefixtures("timing")
@pytest.mark.parametrize("warm", [True, False])
def test_turns_are_taken_in_order_and_the_warm_up_is_not_counted(benchmark: object, warm: bool) -> None:
    said: list[str] = []
    references = {"a": lambda: said.append("a"), "b": lambda: said.append("b")}
    turns = take_turns(benchmark, lambda: said.append("S"), references, rounds=3, warm=warm)
    assert "".join(said) == "abS" * (3 + warm) + "ab"
    assert len(turns.subject) == 3
    assert {len(times) for times in turns.references.values()} == {4}


def test_a_result_carries_what_a_comparison_reads() -> None:
    benchmark = SimpleNamespace(extra_info={})
    comparable(benchmark, Spread(2.0, 1.5, 2.5), calibration="a", place=CPU, batch=32, samples_per_s=9.0)
    found = result_of("name", benchmark.extra_info, "here")
    assert found is not None
    assert (found.relative, found.low, found.high, found.calibration, found.device) == (2.0, 1.5, 2.5, "a", "cpu")
    assert found.settings == {"dtype": "float32", "batch": 32, "threads": 1}


# -- clocks and places -------------------------------------------------------------------------------------------------
def test_one_thread_is_timed_by_its_own_work_and_several_by_the_clock() -> None:
    """A sleep takes no CPU time, whatever else the machine does."""
    for threads, waited in ((1, False), (2, True)):
        watch = Stopwatch()
        watch.use(Place(torch.device("cpu"), threads))
        began = watch()
        time.sleep(0.05)
        assert (watch() - began >= 0.05) is waited


def test_a_place_says_its_clock() -> None:
    assert place("cpu", None).words() == "cpu, 1 thread, CPU time"
    assert Place(torch.device("cpu"), 4).words() == "cpu, 4 threads, time on the clock"
    assert Place(torch.device("cuda"), 1).clock == "CUDA events"


@pytest.mark.parametrize(
    ("device", "threads", "said"),
    [
        ("cudo", None, "--lvm-device: no device 'cudo'. Did you mean 'cuda'?"),
        ("cpu", "0", "LVM_THROUGHPUT_THREADS: expected 1 to "),
        ("cpu", "9999", "LVM_THROUGHPUT_THREADS: expected 1 to "),
        ("cpu", "two", "got 'two'"),
    ],
)
def test_a_place_that_is_not_there_is_one_clear_error(device: str, threads: str | None, said: str) -> None:
    with pytest.raises(InputError) as caught:
        place(device, threads)
    assert said in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_this_machine_lacks_names_those_it_has() -> None:
    with pytest.raises(InputError, match=r"--lvm-device: no device 'cuda' here; there is: cpu"):
        place("cuda", None)


# -- resources ---------------------------------------------------------------------------------------------------------
def test_the_peak_of_memory_is_that_of_the_work() -> None:
    memory = PeakMemory(CPU.device)
    memory.start()
    torch.ones(32 << 20, dtype=torch.uint8)
    first = memory.peak()
    if first is None:
        pytest.skip("this machine does not tell the peak of a process's memory")
    assert 30 << 20 <= first < 48 << 20  # the kernel counts in parcels of a megabyte or so
    memory.start()
    torch.ones(8 << 20, dtype=torch.uint8)
    second = memory.peak()
    assert second is not None
    assert 6 << 20 <= second < 24 << 20


def test_cores_are_counted_without_their_second_threads() -> None:
    lines = [f"processor\t: {i}\nphysical id\t: 0\ncore id\t\t: {i // 2}\n" for i in range(4)]
    assert physical_cores("\n".join(lines)) == 2


def test_the_last_cache_is_the_largest(tmp_path: Path) -> None:
    for number, size in enumerate(("32K", "1024K", "32M", "broken")):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(f"{size}\n")
    assert last_cache(tmp_path) == 32 << 20
    assert last_cache(tmp_path / "nothing") is None


def test_the_facts_of_a_machine_leave_its_name_out() -> None:
    told = facts(CPU.device, 1)
    assert told["cpu_model"] == told["device_name"] == cpu_model()
    assert os.uname().nodename not in {str(value) for value in told.values()}


# -- tables ------------------------------------------------------------------------------------------------------------
def a_session() -> Figures:
    """Figures of two tables."""
    figures = Figures()
    figures.target("fast: < 5 ms", "3 ms", met=True)
    figures.target("small | light: < 5 MB", "7 MB", met=False)
    figures.say("data", "what all rows share")
    figures.say("data", "what all rows share")
    figures.add("data", "drawing", "9 windows/s", "half a step", "a note")
    return figures


def test_the_tables_are_markdown() -> None:
    lines = markdown(a_session().filled)
    assert lines[0] == "### Targets"
    assert "| fast: < 5 ms | 3 ms | met |  |" in lines
    assert "| small \\| light: < 5 MB | 7 MB | MISSED |  |" in lines
    assert lines[lines.index("### Data") + 2 : lines.index("### Data") + 4] == ["what all rows share", ""]
    assert lines.count("what all rows share") == 1


def test_a_row_must_fit_its_table() -> None:
    with pytest.raises(ValueError, match="a cell for each column"):
        Figures().add("data", "too", "few")
    with pytest.raises(ValueError, match="one of"):
        Figures().add("nothing", *SECTIONS["data"])


def test_percentages_keep_what_is_small() -> None:
    assert [percent(x) for x in (0.0123, 0.00045, 0.0, -0.031)] == ["1.2 %", "0.045 %", "0.0 %", "-3.1 %"]
