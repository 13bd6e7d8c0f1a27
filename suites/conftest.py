"""The one profile of hypothesis, and fixtures of tests that use the plugin as somebody else's repository does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from suites.lvmcheck.plugin_kit.project import Project

settings.register_profile("suites", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # cores are shared
settings.load_profile("suites")


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    from suites.lvmcheck.plugin_kit.project import Project

    return Project(pytester)
