"""Which Python tests ask for the ``run`` fixture of the suite file beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvmcheck.pytest_plugin.constants import SUITE_FILE
from lvmcheck.pytest_plugin.pytest_api import fixture_module

HOOKS = "lvmcheck.pytest_plugin.hooks"
"""Module of the fixture."""


def asks_ours(item: pytest.Item) -> bool:
    """Whether ``run`` is our fixture for this test, neither a fixture nor a parameter of its author."""
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
        if "run" in (names.replace(",", " ").split() if isinstance(names, str) else names):
            return False
    return fixture_module(item, "run") == HOOKS


def asks_run(item: pytest.Item) -> tuple[Path, int] | None:
    """Suite file and seed of a Python test that uses the ``run`` fixture."""
    callspec = getattr(item, "callspec", None)
    path = item.path.parent / SUITE_FILE
    if callspec is None or "run" not in callspec.params or not asks_ours(item):
        return None
    seed = callspec.params["run"]
    return (path, seed) if isinstance(seed, int) and path.is_file() else None
