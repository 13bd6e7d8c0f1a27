"""The ``ranks`` fixture: what ranks return, and what is said when one fails."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from suites.distributed import calls


def failed(*call: Any, **options: Any) -> str:
    ranks, function, *arguments = call
    with pytest.raises(pytest.fail.Exception) as found:
        ranks(2, **options)(function, *arguments)
    return str(found.value)


def test_each_rank_returns_its_own_value(ranks: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = ranks(2)(calls.summed, 1.5, twice=True)
    assert (first["sum"], second["sum"]) == (8.0, 8.0)
    assert (first["rank"], second["rank"]) == (0, 1)
    assert torch.equal(second["tensor"], torch.full((3,), 4.0))
    assert capsys.readouterr().out == "[rank 0] sum 4\n[rank 1] sum 4\n"


def test_tensors_travel_both_ways(ranks: Any) -> None:
    rows = torch.arange(6.0).reshape(2, 3)
    assert all(torch.equal(found, torch.stack([rows] * 2)) for found in ranks(2)(calls.stack_of, rows))


def test_ranks_see_the_environment_of_now_and_what_torchrun_sets(ranks: Any) -> None:
    now = "PYTEST_CURRENT_TEST"  # which pytest sets for every test
    found = ranks(2, env={"MINE": "7"})(calls.asked, now, "MINE", "RANK", "WORLD_SIZE")
    assert found == [[os.environ[now], "7", "0", "2"], [os.environ[now], "7", "1", "2"]]
    assert ranks(2, backend=None)(calls.joins_by_itself) == [2, 2]
    assert ranks(1)(calls.asked, "WORLD_SIZE") == [["1"]]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (calls.raises, r"ranks\(2\): rank 1 raised ValueError: no row \(suites/distributed/calls\.py:\d+\)"),
        (calls.asserts, r"rank 1 raised AssertionError: assert dist\.get_rank\(\) == 0 \(suites"),
        (calls.dies, r"rank 1 was killed by SIGKILL"),
        (calls.leaves, r"rank 0 exited with 3 before"),
        (calls.returns_what_cannot_travel, r"rank \d returned a generator, which cannot be sent"),
    ],
)
def test_the_rank_and_its_error_come_first(function: Any, said: str, ranks: Any) -> None:
    began = time.monotonic()
    assert re.search(said, failed(ranks, function).splitlines()[0])
    assert time.monotonic() - began < 60


def test_a_hang_says_which_rank_waits_in_which_collective(ranks: Any) -> None:
    first, *others = failed(ranks, calls.hangs, timeout=3.0).splitlines()
    assert re.search(
        r"rank 1 was not done after \d+ s: it is in no collective \(suites/distributed/calls\.py:\d+\)", first
    )
    assert re.search(r"rank 0 waits in broadcast of \[4\], collective 2 of this rank \(suites/dist", others[0])


def test_nothing_is_left_of_ranks_that_hang(ranks: Any, tmp_path: Path) -> None:
    failed(ranks, calls.starts_a_process_and_hangs, str(tmp_path), timeout=3.0)
    for rank in range(2):
        pid = int((tmp_path / str(rank)).read_text())
        until = time.monotonic() + 30
        while time.monotonic() < until and _runs(pid):
            time.sleep(0.02)
        assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def local() -> Any:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize("function", [lambda: 0, local(), print], ids=["lambda", "local", "built_in"])
def test_a_function_without_a_name_of_its_own_is_one_line(function: Any, ranks: Any) -> None:
    said = failed(ranks, function)
    assert said.startswith("ranks: function: expected a function at the top of a module, got ")
    assert "\n" not in said


@pytest.mark.parametrize(("size", "timeout"), [(0, 1.0), (65, 1.0), (True, 1.0), (2, 0.0)])
def test_other_sizes_and_times_are_one_line(size: int, timeout: float, ranks: Any) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"ranks: (size|timeout): expected"):
        ranks(size, timeout=timeout)
