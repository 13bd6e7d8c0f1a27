"""Root fixtures only."""

from __future__ import annotations

import os

# Before torch is imported anywhere: two cores shared by several processes run ten times slower with two threads each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["pytester", "suites.own_process"]
