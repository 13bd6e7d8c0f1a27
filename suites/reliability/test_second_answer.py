"""A second answer is the first one: tests in any order, output that is refused, a folder that cannot be read, a kernel
that would be waited for, more metrics than can be judged.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lvmcheck.readers._files import head
from lvmcheck.run.event_lines import to_line
from lvmcheck.run.events import Epoch, Probe
from lvmcheck.run.events_file import MAX_METRICS
from lvmcheck.run.regular_file import open_regular
from suites.lvmcheck.plugin_kit.project import Project, floor

LAST_FIRST = """
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "seed1" in item.nodeid)
"""


def test_seeds_that_come_in_another_order(pytester: pytest.Pytester) -> None:
    """As with pytest-randomly: what is asked of all seeds is answered by the first two, whichever test comes first."""
    project = Project(pytester)
    project.suite(floor(1, 0.45), floor("final", 0.59, 'across = "2 of 3"'), seeds=[0, 1, 2], spread=0.01)
    text = project.suite_file.read_text()
    project.suite_file.write_text(text.replace("checks = 2", "checks = 2\nsequential = true"))
    (project.path / "conftest.py").write_text(LAST_FIRST)
    result = project.pytest("--lvm-json", "report.json")
    report = json.loads((project.path / "report.json").read_text())
    found = {(check["verdict"]["seed"], check["pytest"]) for check in report["suites"][0]["checks"]}
    assert found == {(0, "passed"), (1, "passed"), (2, "skipped"), ("seeds", "passed")}
    assert result.ret == 0


# -- the command -------------------------------------------------------------------------------------------------------
def lvmcheck(*words: str | Path, shell: str = "", prefix: str = "") -> subprocess.CompletedProcess[str]:
    """``lvmcheck check``, by a shell that does with its output what is said."""
    command = [sys.executable, "-m", "lvmcheck", "check", *map(str, words)]
    line = ["sh", "-c", f'{prefix} "$@" {shell}', "sh", *command]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def runs(tmp_path: Path) -> dict[int, Path]:
    """Exit code -> a run that ends with it."""
    found = {}
    for code, values in ((0, [1.0, 0.5]), (1, [1.0, float("nan")])):
        found[code] = folder = tmp_path / str(code)
        folder.mkdir()
        events = [Epoch(epoch=n, step=n, metrics={"val_loss": value}) for n, value in enumerate(values, start=1)]
        (folder / "events.jsonl").write_text("".join(f"{to_line(event)}\n" for event in events))
    return found


def test_output_that_nobody_takes(runs: dict[int, Path]) -> None:
    """Closed, the exit code alone says it; where it is refused, no run is called good or bad."""
    full = Path("/dev/full").exists()
    for code, run in runs.items():
        for shell in (">&-", "2>&-", ">&- 2>&-"):
            done = lvmcheck(run, shell=shell)
            assert done.returncode == code, (shell, done.stderr)
            assert "internal error" not in done.stderr
        for shell in (">/dev/full", ">/dev/full 2>&1") if full else ():
            done = lvmcheck(run, shell=shell)
            assert done.returncode == 3, (shell, done.stderr)
            assert "Traceback" not in done.stderr
            assert "internal error" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="another user is needed")
def test_a_folder_that_cannot_be_read(tmp_path: Path, runs: dict[int, Path]) -> None:
    tmp_path.chmod(0o700)
    done = lvmcheck(runs[0], prefix="setpriv --reuid=65534 --regid=65534 --clear-groups")
    assert done.returncode == 2, done.stderr
    assert "ermission denied" in done.stderr
    assert "internal error" not in done.stderr


# -- what hangs --------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="no /proc")
def test_the_kernel_is_not_waited_for() -> None:
    began = time.monotonic()
    for name in ("/proc/kmsg", "/proc/self/pagemap", "/proc/uptime"):
        assert head(Path(name)) == b""
        with pytest.raises(OSError, match=r"not a regular file|ermi"):
            open_regular(Path(name))
    assert time.monotonic() - began < 2


def test_more_metrics_than_can_be_judged(tmp_path: Path) -> None:
    """Names that are new in each line: refused where there are too many, and judged in a time that grows as they do."""
    from lvmcheck.commands.main import main

    probe = Probe(name="one_more", epoch=1, step=1, values={"value": 1.0})
    for count, more, code in ((MAX_METRICS, [probe], 2), (1000, [], 0)):
        folder = tmp_path / str(count)
        folder.mkdir()
        events = [Epoch(epoch=n, step=n, metrics={f"val_loss_{k}": 1 / n for k in range(count)}) for n in (1, 2, 3)]
        (folder / "events.jsonl").write_text("".join(f"{to_line(event)}\n" for event in [*events, *more]))
        assert main(["check", str(folder)]) == code


def test_curves_of_many_metrics_are_looked_up_once() -> None:
    from lvmcheck.run.role_names import Quantity
    from lvmcheck.run.view import run_from

    names = [f"{split}_loss_{k}" for split in ("train", "val") for k in range(1500)]
    curves = run_from({name: [1.0, 0.5] for name in names}).curves
    began = time.process_time()
    for curve in curves.of(Quantity.LOSS):
        partner = curves.partner(curve)
        assert partner is not None
        assert partner.name == curve.name.replace("val", "train")
    for _ in range(500):
        assert len(list(curves.of(Quantity.LOSS))) == len(names)
    assert time.process_time() - began < 2
