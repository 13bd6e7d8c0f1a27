"""Malformed files of every kind: a run or one clear error, soon, and nothing on the screen that is not fit for it.

``LVM_RELIABILITY=full`` reads 100,000; ``python -m suites.reliability.test_malformed 100000`` counts what was said.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.text.fit import fit_lines
from suites.reliability.hostile import commands, unfit
from suites.reliability.malformed import beside, sources, spoiled

COUNT = 100_000 if os.environ.get("LVM_RELIABILITY") == "full" else 420
KINDS = 13
"""Kinds of which some are refused: a run without a readable run.json is its events."""
SLOW = 2.0
"""Seconds of this process that a file may take."""


def read_all(count: int, folder: Path, seed: int) -> tuple[Counter[str], list[str]]:
    """What became of each, by kind, and everything that must not happen."""
    kinds = sources(folder)
    chance, counts, wrong = random.Random(seed), Counter[str](), []
    beside(folder)
    for number in range(count):
        kind = list(kinds)[number % len(kinds)]
        sound, name, read = kinds[kind]
        path = folder / name
        path.write_bytes(spoiled(sound, chance))
        began = time.process_time()
        try:
            read(path)
            answer = "read"
        except InputError as problem:
            answer = "refused"
            said = fit_lines([problem])
            if unfit(said, lines=False) or commands(said) or len(said.splitlines()) != 1:
                wrong.append(f"{number} {kind}: {said!r}")
        except Exception as problem:
            answer = "traceback"
            wrong.append(f"{number} {kind}: {type(problem).__name__}: {str(problem)[:200]!r}")
        took = time.process_time() - began
        if took > SLOW:
            wrong.append(f"{number} {kind}: {took:.1f} s")
        counts[f"{kind}: {answer}"] += 1
        if name.startswith("run/"):
            path.write_bytes(sound)
    return counts, wrong


def test_sound_files_are_read(tmp_path: Path) -> None:
    beside(tmp_path)
    for kind, (sound, name, read) in sources(tmp_path).items():
        if kind not in ("event file", "wandb", "manifest"):  # those need a package, and the weights
            (tmp_path / name).write_bytes(sound)
            assert read(tmp_path / name) is not None, kind


def test_malformed_files_are_read_or_refused(tmp_path: Path) -> None:
    counts, wrong = read_all(COUNT, tmp_path, seed=15)
    assert wrong == []
    refused = [name for name in counts if name.endswith("refused")]
    assert len(refused) == KINDS


if __name__ == "__main__":
    home = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    found, bad = read_all(int(sys.argv[1]), home, seed=15)
    shutil.rmtree(home)
    sys.stdout.writelines(f"{n:8} {name}\n" for name, n in sorted(found.items()))
    sys.stdout.write(f"{sum(found.values())} files, {len(bad)} answered as they must not be\n")
    sys.stdout.writelines(f"{line}\n" for line in bad[:30])
