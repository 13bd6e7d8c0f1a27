"""The trainer's process with one fault: ``python -m lvmcheck.selftest.worker RUN_DIRECTORY PARENT_PID [FAULT]``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from lvmcheck.launch import worker
from lvmcheck.selftest.catalogue import faults
from lvmcheck.selftest.plan import Site


def main(arguments: list[str]) -> int:
    """Train with the fault planted; without one as any launched trainer."""
    folder, parent, *names = arguments
    site = Site(Path(folder))
    site.count_epochs()
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(faults()[name].plant(site))
        return worker.main([folder, parent])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
