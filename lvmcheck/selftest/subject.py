"""What is tested: a suite at one profile and seed, or a trainer function with its config."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lvmcheck.checks.protocol import universal_checks
from lvmcheck.errors import InputError
from lvmcheck.launch.inputs import changed
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.run import directory as rundir
from lvmcheck.run.info import tainting
from lvmcheck.run.regular_file import read_json
from lvmcheck.selftest.judging import Judged
from lvmcheck.selftest.training import Subject
from lvmcheck.suite import Suite, find_trainer


def of_suite(suite: Suite, seed: int | None, home: Path) -> Subject:
    """The suite's run and its checks; a question to several seeds is asked of this one.

    Raises:
        InputError: a suite of known failures, or a config that the trainer refuses.
    """
    if any(entry.expect is not None for entry in suite.checks):
        problem = "its checks are expected to fail; a self-test needs a run that passes"
        raise InputError(suite.path, problem, key="check.expect")
    plan = Plan(suite, suite.seeds[0] if seed is None else seed, Settings(home=home, root=Path.cwd(), session=""))
    entries = [replace(entry, across=None, abort=False) for entry in suite.checks]
    finished = plan.folder if _is_finished(plan) else None
    checks = [Judged(name=entry.node, check=entry.check, entry=entry) for entry in entries]
    return Subject(title=plan.title, info=plan.info(), checks=checks, root=Path.cwd(), finished=finished)


def of_trainer(name: str, config: Mapping[str, Any], seed: int) -> Subject:
    """Any ``package.module:train`` that takes a config and a recorder, judged by the universal checks.

    Raises:
        InputError: there is no such trainer.
    """
    found = find_trainer(name)
    info = {
        "trainer": f"{found.module}:{found.function}",
        "config": {**config, "seed": seed},
        "seed": seed,
        "environment": tainting(os.environ),
    }
    checks = [Judged(name=check.label(), check=check) for check in universal_checks()]
    return Subject(title=f"{name} seed{seed}", info=info, checks=checks, root=Path.cwd())


def _is_finished(plan: Plan) -> bool:
    """Whether a finished run of exactly this plan is there, whole and with its own completion record."""
    info = read_json(plan.folder / rundir.INFO) or {}
    if info.get("key") != plan.key["key"] or changed(plan.folder, info, plan.cache) is not None:
        return False
    try:
        return rundir.load(plan.folder).finished
    except InputError:
        return False
