"""Tests beside these suites need the full profile: smoke trains on numbers of one digit."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves the tests out, and their training with them, unless the full profile was asked for."""
    return True if collection_path.suffix == ".py" and config.getoption("lvm_profile") != "full" else None
