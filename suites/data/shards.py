"""What vectors in many files cost: ``python -m suites.data.shards`` prints the table of docs/scale.md, Large data.

Seconds of CPU for a million rows, measured on 100,000 rows of 768 numbers in float32 (three times 300 MB below
``--folder``, removed at the end), each number of files in turns; and how the order of an epoch spreads over the files,
as a share of chance.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

ROWS, DIM, BATCH = 100_000, 768, 32
FILES = (1, 10, 100)


def write(folder: Path, files: int) -> Path:
    """The same vectors in so many files; one is a folder as before."""
    folder.mkdir()
    some = np.random.default_rng(0).standard_normal((1000, DIM), dtype=np.float32)
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    rows = ROWS // files
    for number in range(files):
        blocks = [
            np.roll(some, (number * rows + start) // 1000, axis=1)[: rows - start] for start in range(0, rows, 1000)
        ]
        name = "vectors.npy" if files == 1 else f"vectors-{number:05d}-of-{files:05d}.npy"
        np.save(folder / name, np.concatenate(blocks))
    np.save(folder / "article.npy", (np.arange(ROWS) // 50).astype(np.int32))
    return folder


def costs(folder: Path) -> list[float]:
    """CPU seconds of opening with every check, of the fingerprint, and of gathering an epoch of shuffled batches."""
    from models.data.dataset import open_data
    from models.data.loader import Loader

    times = [time.process_time()]
    data = open_data({"path": str(folder)}, seed=0)
    times.append(time.process_time())
    assert data.fingerprint
    times.append(time.process_time())
    loader = Loader(data.train_epoch(1), BATCH, torch.device("cpu"))
    windows = sum(len(target) for _, target in loader.shuffled(0, 1))
    times.append(time.process_time())
    opening, printing, gathering = np.diff(times).tolist()
    return [opening / ROWS * 1e6, printing / ROWS * 1e6, gathering / windows * 1e6]


def main() -> None:
    from models.data.loader import epoch_order
    from suites.data.shuffling import spread

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folders = {files: write(Path(place) / str(files), files) for files in FILES}
        measured: dict[int, list[list[float]]] = {files: [] for files in FILES}
        for _ in range(options.rounds):
            for files, folder in folders.items():
                measured[files].append(costs(folder))
    print("| files | open, check, split | fingerprint | gather shuffled windows |\n| --- | --- | --- | --- |")
    for files, rounds in measured.items():
        print(f"| {files} | " + " | ".join(f"{median(column):.2f} s" for column in zip(*rounds, strict=True)) + " |")
    found = spread(epoch_order(0, 1, 1_000_000), BATCH, 100)
    print(f"of chance: step {found.step:.3f}, same file {found.same_file:.3f}, files a batch {found.files_a_batch:.3f}")


if __name__ == "__main__":
    main()
