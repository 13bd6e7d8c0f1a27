"""Runs that this session trains are diagnosed after they were trained."""

from __future__ import annotations

import pytest

AFTER = ("test_cognate_failures.py", "test_known_failures.py")
"""Files of tests that read the runs of suites."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that look for a finished run come last; where it was not trained, they skip and say what trains it."""
    items.sort(key=lambda item: item.path.name in AFTER and item.path.parent.name == "known_failures")
