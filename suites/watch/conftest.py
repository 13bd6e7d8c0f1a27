"""Tests of watching do not see what tests before them have compiled."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def nothing_was_compiled() -> None:
    """Beside a compiled loop less is looked at; torch counts what it compiled in the process."""
    utils = sys.modules.get("torch._dynamo.utils")
    if utils is not None:
        utils.counters.clear()
