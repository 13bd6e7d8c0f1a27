"""What noting the inputs of a run and guarding its process cost: ``python -m suites.reliability.cost``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lvmcheck.launch import guard

OPENS = 20_000
HOOK = """
import sys, time
from pathlib import Path
from lvmcheck.launch.opened import Opened
from lvmcheck.launch.inputs import write_inputs
folder = Path(sys.argv[1])
(folder / "data").write_text("1")
def opens():
    began = time.perf_counter()
    for _ in range({opens}):
        open(folder / "data").close()
    return (time.perf_counter() - began) / {opens} * 1e6
opens()
plain = opens()
(folder / "run").mkdir()
Opened(folder / "run", folder).watch()
watched = opens()
import torch
began = time.perf_counter()
write_inputs(folder / "run", folder, stated=True)
import json
print(json.dumps([plain, watched, (time.perf_counter() - began) * 1e3]))
"""


def best(command: list[str], times: int = 7) -> float:
    """The least milliseconds of several runs."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=False, capture_output=True)
        found.append((time.perf_counter() - began) * 1e3)
    return min(found)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-c", HOOK.format(opens=OPENS), folder]
        plain, watched, record = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "run.json").write_text("{}")
        worker = ["-P", "-m", "lvmcheck.launch.worker", folder, "0"]
        direct = best([sys.executable, *worker])
        guarded = best([sys.executable, "-I", "-S", guard.__file__, folder, "0"])
    print(f"one open of a file that was seen: {plain:.1f} us, noted {watched:.1f} us")
    print(f"the record of a run that imports torch: {record:.0f} ms")
    print(f"a trainer that ends at once: {direct:.0f} ms, guarded {guarded:.0f} ms")


if __name__ == "__main__":
    main()
