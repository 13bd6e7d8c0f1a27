"""Root fixtures only."""

from __future__ import annotations

import gc
import os

import pytest

# Thousands of tests stay as they are: nothing of them is looked through again and again for what nobody refers to.
gc.disable()

# Before torch is imported anywhere: two cores shared by several processes run ten times slower with two threads each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What goes wrong in watching reaches a test, and no loop of anybody else's.
os.environ.setdefault("LVMCHECK_STRICT", "1")

# A session that a test starts is no worker of the one that the test is in; xdist and pytest-benchmark ask these.
for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
    os.environ.pop(name, None)

LONGEST = (
    "suites/lvmcheck/test_docs",
    "suites/gallery/test_gallery.py",
    "suites/gallery/test_silent.py",
    "suites/ci/test_end_to_end.py",
    "suites/lvmcheck/test_compare.py",
    "suites/lvmcheck/test_init.py",
)
"""What takes long begins first, so that no worker ends with it while the others wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """What was imported and collected stays; what tests make is collected as usual."""
    gc.freeze()
    gc.enable()


pytest_plugins = ["pytester", "suites.own_process"]
