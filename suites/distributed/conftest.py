"""Fixtures of tests whose trainers are imported in this process, too."""

from __future__ import annotations

import pytest

from suites.lvmcheck.plugin_kit.project import Project


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    pytester.syspathinsert()
    return Project(pytester)
