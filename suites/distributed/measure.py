"""What engines cost: ``python -m suites.distributed.measure overhead | runs ENGINE...`` prints lines of docs/scale.md.

``overhead`` trains a run without torch on each engine in turns, and takes the time from asking for it to its first
event, beside that of the local engine in the same round. ``runs`` trains a hundred seeds and counts the verdict sets.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from lvmcheck.launch.engine import make_engine
from lvmcheck.launch.launcher import Launcher
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.run_job import RunJob
from lvmcheck.suite import load_suite

KIT = Path(__file__).parents[1] / "lvmcheck" / "plugin_kit"
SUITE = """
[suite]
about = "a toy"
checks = 2

[run]
trainer = "toy:train"
epochs = 2
seeds = {seeds}
steps = 2
curve = [0.5, 0.6]

[[check]]
check = "cosine_floor"
metric = "val_cosine"
epoch = "final"
floor = 0.55

[[check]]
check = "run_completed"
"""


@contextmanager
def project(seeds: int) -> Iterator[Path]:
    """A folder with the trainer and a suite of so many seeds."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("toy.py", "toy_deaths.py"):
            shutil.copy(KIT / name, folder)
        (folder / "suite.toml").write_text(SUITE.format(seeds=list(range(seeds))))
        sys.path.insert(0, place)
        yield folder


def settings(folder: Path, name: str, jobs: int = 0) -> Settings:
    return Settings(home=folder / name, root=folder, session="this", launcher=name, jobs=jobs)


def overhead(names: list[str], rounds: int) -> None:
    """Seconds to the first event, and beyond those of the local engine."""
    with project(1) as folder:
        engines = {name: make_engine(settings(folder, name)) for name in ("local", *names)}
        for engine in engines.values():
            engine.open()
        suite, took = load_suite(folder / "suite.toml"), {name: list[float]() for name in engines}
        for _ in range(rounds + 1):  # the first warms up
            for name, engine in engines.items():
                job = RunJob(Plan(suite, 0, settings(folder, name)), suite.checks, whole=True, engine=engine)
                took[name].append(first_event(job, folder / name / "slots"))
                shutil.rmtree(job.folder)
        for name in names:
            beyond = median(a - b for a, b in zip(took[name][1:], took["local"][1:], strict=True))
            print(f"{name}: {median(took[name][1:]):.2f} s to the first event, {beyond:.2f} s beyond local")
        for engine in engines.values():
            engine.close()


def first_event(job: RunJob, folder: Path) -> float:
    began, seen = time.monotonic(), 0.0
    assert job.engine is not None
    while not job.over:
        job.poll(lambda plan: job.engine.take(plan, folder, 1))  # type: ignore[union-attr]
        if not seen and (job.folder / "events.jsonl").exists():
            seen = time.monotonic() - began
        time.sleep(0.005)
    assert job.run.finished, job.problem or job.run.death
    return seen


def runs(names: list[str], many: int, jobs: int) -> None:
    """Train so many seeds and say how many verdict sets came of it."""
    with project(many) as folder:
        suite = load_suite(folder / "suite.toml")
        for name in names:
            launcher = Launcher(settings(folder, name, jobs))
            began = time.monotonic()
            wanted = [launcher.want(suite, seed, suite.checks, whole=True) for seed in suite.seeds]
            for job in wanted:
                launcher.wait(job, None, lambda: None)
            took = time.monotonic() - began
            launcher.close("the end")
            sets = [json.loads((job.folder / "verdicts.json").read_text())["verdicts"] for job in wanted]
            passed = sum([verdict["outcome"]["status"] for verdict in each] == ["passed", "passed"] for each in sets)
            once = sum((job.folder / "events.jsonl").read_text().count('"event":"begin"') == 1 for job in wanted)
            folders = len({job.folder for job in wanted})
            print(f"{name}: {many} runs in {took:.0f} s, {folders} verdict sets, {passed} passed, {once} trained once")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("overhead", "runs"))
    parser.add_argument("engines", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=0)
    options = parser.parse_args()
    if options.what == "overhead":
        overhead(options.engines, options.rounds)
    else:
        runs(options.engines, options.runs, options.jobs)


if __name__ == "__main__":
    main()
