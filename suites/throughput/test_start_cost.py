"""What lvmcheck costs before anything trains: its import, the plugin that nobody uses, the collection of suites."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place
from lvmcheck.testing.speed.turns import Spread
from suites.throughput import commands
from suites.throughput.commands import ROOT
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent

TITLE = "start"
HEAVY = {"torch", "numpy", "pydantic", "rich", "tree_sitter", "hypothesis"}
PLUGIN = ("-p", "lvmcheck.pytest_plugin.hooks")
IMPORT = """
import json, sys, time
known, began = set(sys.modules), time.process_time()
import lvmcheck
plain = time.process_time() - began
for name in {names}:
    getattr(lvmcheck, name)
print(json.dumps([plain, time.process_time() - began, sorted(set(sys.modules) - known)]))
"""


def imported(*names: str, cwd: Path) -> tuple[float, float, set[str]]:
    """Seconds of ``import lvmcheck`` in a fresh interpreter, those up to the public ``names``, and modules loaded."""
    spent = commands.python("-c", IMPORT.replace("{names}", repr(names)), cwd=cwd)
    alone, named, modules = json.loads(spent.output)
    return alone, named, {str(module).partition(".")[0] for module in modules}


def test_the_import_brings_nothing_heavy(tmp_path: Path) -> None:
    _, _, modules = imported(cwd=tmp_path)
    assert not modules & (HEAVY | {"pytest", "filelock"})


def test_the_public_surface_brings_neither_torch_nor_numpy(tmp_path: Path) -> None:
    """But for what measures models, which needs torch."""
    import lvmcheck

    names = [name for name in lvmcheck.__all__ if name not in ("watch", "preflight")]
    _, _, modules = imported(*names, cwd=tmp_path)
    assert "lvmcheck" in modules
    assert not modules & HEAVY


def test_the_unused_plugin_brings_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        f"import sys\ndef test_modules():\n"
        f"    assert 'lvmcheck.pytest_plugin.hooks' in sys.modules\n"
        f"    assert not set(sys.modules) & {HEAVY!r}\n"
    )
    spent = commands.pytest(*PLUGIN, cwd=bare_project(tmp_path))
    assert "1 passed" in spent.output


def bare_project(folder: Path) -> Path:
    """The folder as a project of its own, in which pytest finds no settings of ours."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


@pytest.mark.usefixtures("timing")
def test_import_cost(benchmark: Any, cpu: Place, figures: Figures, tmp_path: Path) -> None:
    import lvmcheck

    starts: list[float] = []
    taken: list[tuple[float, float]] = []

    def start_bare() -> None:
        starts.append(commands.python("-c", "pass", cwd=tmp_path).cpu)

    def start() -> None:
        taken.append(imported(*lvmcheck.__all__, cwd=tmp_path)[:2])

    benchmark.pedantic(start, setup=start_bare, rounds=25 if FULL else 1, warmup_rounds=1)
    alone, whole = (list(times) for times in zip(*taken[1:], strict=True))
    figures.say(TITLE, "CPU time of fresh processes, without other plugins.")
    for what, times in (("import lvmcheck", alone), ("import lvmcheck and its whole public surface", whole)):
        figures.add(
            TITLE,
            what,
            f"{median(times) * 1e3:.1f} ms",
            f"{percent(median(times) / median(starts[1:]))} of an interpreter's start",
            f"median of {len(times)}",
        )
    met = median(alone) < 0.050
    figures.target("import lvmcheck: < 50 ms, without torch", f"{median(alone) * 1e3:.1f} ms", met)
    relative = Spread.of([one / start for one, start in zip(alone, starts[1:], strict=True)])
    comparable(benchmark, relative, calibration="python-start", place=cpu, dtype=None)


@pytest.mark.usefixtures("timing")
def test_unused_plugin_cost(benchmark: Any, cpu: Place, figures: Figures, tmp_path: Path) -> None:
    folder = bare_project(tmp_path)
    without: list[float] = []
    loaded: list[float] = []

    def start_without() -> None:
        without.append(commands.pytest(cwd=folder, expect=(5,)).cpu)

    def start_with() -> None:
        loaded.append(commands.pytest(*PLUGIN, cwd=folder, expect=(5,)).cpu)

    benchmark.pedantic(start_with, setup=start_without, rounds=9 if FULL else 1, warmup_rounds=1)
    start_without()
    pairs = list(zip(loaded[1:], without[1:], without[2:], strict=False))
    added = Spread.of([one - (before + after) / 2 for one, before, after in pairs])
    figures.add(
        TITLE,
        "plugin installed and unused",
        added.words(lambda seconds: f"{seconds * 1e3:.0f} ms"),
        f"{percent(added.median / median(without))} of a pytest start of {median(without) * 1e3:.0f} ms",
        f"{len(pairs)} pairs, in an empty folder",
    )
    figures.target("plugin installed and unused: < 30 ms", f"{added.median * 1e3:.0f} ms", added.median < 0.030)
    relative = Spread.of([2 * one / (before + after) for one, before, after in pairs])
    comparable(benchmark, relative, calibration="pytest-start", place=cpu, dtype=None)


@pytest.mark.usefixtures("timing")
def test_collection_cost(benchmark: Any, cpu: Place, figures: Figures, tmp_path: Path) -> None:
    suites = sorted(os.path.relpath(path, ROOT) for path in (ROOT / "suites").rglob("suite.toml"))
    if not suites:
        pytest.skip("this checkout has no suite.toml")
    without: list[float] = []
    collected: list[commands.Spent] = []

    def start_without() -> None:
        without.append(commands.pytest("--collect-only", "-q", cwd=bare_project(tmp_path), expect=(5,)).cpu)

    def collect() -> None:
        collected.append(commands.pytest(*PLUGIN, "--collect-only", "-q", *suites, cwd=ROOT))

    benchmark.pedantic(collect, setup=start_without, rounds=5 if FULL else 1, warmup_rounds=0)
    added = Spread.of([spent.cpu - start for spent, start in zip(collected, without, strict=True)])
    items = sum("::" in line for line in collected[-1].output.splitlines())
    assert items >= len(suites)
    figures.add(
        TITLE,
        "collecting the suite files",
        f"{added.median:.2f} s",
        f"{added.median / median(without):.1f} pytest starts",
        f"{items} items of {len(suites)} suite.toml",
    )
    figures.target(
        "collecting the suite files: < 1 s", f"{added.median:.2f} s", added.median < 1.0, "less a pytest start"
    )
    relative = Spread.of([spent.cpu / start for spent, start in zip(collected, without, strict=True)])
    comparable(benchmark, relative, calibration="pytest-start", place=cpu, dtype=None, items=items)
