"""Fixtures of tests that use the plugin as somebody else's repository does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from suites.lvmcheck.plugin_kit.project import Project


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    from suites.lvmcheck.plugin_kit.project import Project

    return Project(pytester)
