"""What size costs: ``python -m suites.data.size rows | run | ahead`` prints the tables of docs/data.md, section Size.

``rows`` opens corpora of growing size, ``run`` trains the beginning of the full profile of ``suites/amn_790k``, and
``ahead`` trains from memory and from a file in turns. Each writes up to 3 GB to ``--folder`` and removes them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

ROWS = (10_000, 100_000, 726_014)
BYTES = 3_000_000_000  # of the corpus of ``ahead``, 768 wide
DIM = 768
LANES = ("memory", "file, in the cache", "file, cold, no read-ahead", "file, cold")


def status(name: str) -> int:
    """Bytes of this process under ``name`` in /proc/self/status, such as VmRSS, or VmHWM for the most it ever had."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def waited() -> float:
    """Seconds that this thread was ready to run while other processes had the cores."""
    return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


# -- opening -----------------------------------------------------------------------------------------------------------
def opening(folder: Path) -> str:
    """One row of the table: CPU seconds of opening, fingerprint, and baselines with gates, and the memory they took."""
    from models.data.dataset import open_data

    before, times = status("VmRSS"), [time.process_time()]
    data = open_data({"path": str(folder)}, seed=0)
    times.append(time.process_time())
    assert data.fingerprint
    times.append(time.process_time())
    data.facts()
    times.append(time.process_time())
    vectors, took = data.validation.corpus.vectors, [f"{b - a:.2f} s" for a, b in pairwise(times)]
    memory = (status("VmHWM") - before) / 1e6
    return f"| {len(vectors):,} | {vectors.nbytes / 1e6:,.0f} MB | {' | '.join(took)} | {memory:.0f} MB |"


def show_rows(folder: Path) -> None:
    """The table of opening, each size in a process of its own."""
    from models.data.gates.write import write_twin

    print("| rows | vectors | open, check, split | fingerprint | baselines and gates | memory at most |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for rows in ROWS:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            write_twin(Path(place), sequences=rows)
            again("opening", Path(place))


# -- the full run ------------------------------------------------------------------------------------------------------
def full_run(folder: Path, steps: int = 300) -> str:
    """The most memory of a trainer that takes ``steps`` steps of the full profile, on one thread of the CPU."""
    from lvmcheck.suite import load_suite
    from suites.trainers.vector_kit import run, stop_after

    suite = load_suite(Path(__file__).parents[1] / "amn_790k" / "suite.toml", profile="full")
    os.chdir(folder)  # what is too large for memory goes to .lvmcheck/cache below it
    run(folder / "run", {**suite.config, "device": "cpu", "threads": 1, "window": 50}, judge=stop_after(steps))
    return f"{steps} steps: at most {status('VmHWM') / 1e9:.2f} GB resident"


# -- training from a file ----------------------------------------------------------------------------------------------
def show_ahead(folder: Path, rounds: int) -> None:
    """Samples per second of AMN from memory and from a file, the lanes in turns, at two batch sizes."""
    from models.data.mmap import blocks, map_array
    from models.data.store import Corpus

    rows = BYTES // (4 * DIM)
    path, article = folder / "vectors.raw", (np.arange(rows) // 72).astype(np.int32)
    some = np.random.default_rng(0).standard_normal((8192, DIM), dtype=np.float32)
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    with path.open("wb") as file:
        for block in range(0, rows, len(some)):
            file.write(np.roll(some, block // len(some), axis=1)[: rows - block].tobytes())
        file.flush()
        os.fsync(file.fileno())
    filed = Corpus("file", map_array(path, np.dtype(np.float32), 0, (rows, DIM)), article)
    memory = Corpus("memory", np.fromfile(path, np.float32).reshape(rows, DIM), article)
    assert filed.mapped is not None
    fd = filed.mapped.file.fd
    prepare: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: sum(1 for _ in blocks(filed.vectors, 8192)),
        *2 * (lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED),),
    )
    print("| batch | vectors | samples/s | share of memory (middle half) |\n| --- | --- | --- | --- |")
    for batch, steps in ((32, 200), (512, 20)):
        seconds: dict[str, list[float]] = {lane: [] for lane in LANES}
        step = stepper(batch, folder)
        for turn in range(rounds + 1):
            for lane, ready in zip(LANES, prepare, strict=True):
                ready()
                corpus = memory if lane == "memory" else filed
                took = step(corpus, steps, turn * len(LANES) + LANES.index(lane), lane != LANES[2])
                if turn:
                    seconds[lane].append(took)
        for lane in LANES:
            shares = [a / b for a, b in zip(seconds["memory"], seconds[lane], strict=True)]
            low, high = np.percentile(shares, [25, 75])
            rate, share = steps * batch / median(seconds[lane]), f"{median(shares):.3f} ({low:.3f} to {high:.3f})"
            print(f"| {batch} | {lane} | {rate:,.0f} | {share} |", flush=True)


def stepper(batch: int, folder: Path) -> Callable[..., float]:
    """Trains AMN some steps on a corpus; seconds that they take where nobody else wants the core."""

    from lvmcheck.run.start import record
    from models.data.loader import Loader, epoch_order
    from models.data.prefetch import Batch, prefetch
    from models.data.store import Corpus
    from models.trainers.loop import train_step
    from models.trainers.vector import VectorTask
    from models.trainers.vector_config import parse

    data = {"sequences": 2048, "val_sequences": 256, "ood_sequences": 0}
    config = {"model": {"kind": "amn"}, "data": data, "loss": {"mse": 1.0}, "epochs": 1}
    task = VectorTask.make(parse({**config, "device": "cpu", "batch_size": batch}))
    recorder = record(folder / f"run{batch}", window=50)

    def train(corpus: Corpus, steps: int, epoch: int, told: bool) -> float:
        windows = corpus.windows(5)
        loader = Loader(windows, batch, task.device)
        order = epoch_order(0, epoch, len(windows))
        batches: Iterable[Batch] = (order[start : start + batch] for start in range(0, len(order), batch))
        chosen: Iterator[Batch] = iter(prefetch(windows, batches) if told else batches)
        began, idle = time.perf_counter(), waited()
        for _ in range(steps):
            train_step(task, [loader.gather(next(chosen))], recorder)
        took = time.perf_counter() - began - (waited() - idle)
        del chosen
        return took

    return train


def again(what: str, folder: Path) -> None:
    """Runs ``what`` in a new process, whose memory nothing else has touched."""
    subprocess.run([sys.executable, "-m", "suites.data.size", what, "--folder", str(folder)], check=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints what the command line asks for."""
    parser = argparse.ArgumentParser(prog="suites.data.size", description="what size costs")
    parser.add_argument("what", choices=("rows", "run", "ahead", "opening"))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="a disk with room for 3 GB")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if options.what == "opening":
        print(opening(options.folder), flush=True)
    elif options.what == "rows":
        show_rows(options.folder)
    else:
        with tempfile.TemporaryDirectory(dir=options.folder) as place:
            if options.what == "run":
                print(full_run(Path(place)))
            else:
                show_ahead(Path(place), options.rounds)


if __name__ == "__main__":
    main()
