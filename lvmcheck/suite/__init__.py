"""Suites: what is trained on what, and what must hold. ``load_suite`` turns a suite.toml into a frozen typed Suite."""

from __future__ import annotations

from lvmcheck.suite.load import load_suite, suite_file, suite_name, with_overrides
from lvmcheck.suite.model import CheckEntry, Expect, Suite
from lvmcheck.suite.trainer import Trainer, find_trainer, trainer_names

__all__ = [
    "CheckEntry",
    "Expect",
    "Suite",
    "Trainer",
    "find_trainer",
    "load_suite",
    "suite_file",
    "suite_name",
    "trainer_names",
    "with_overrides",
]
