"""Questions about the model of a training, such as whether it learns one batch: asked of what its trainer offers.

A trainer's module offers them by ``model_and_batch(config)``, which returns arguments of :func:`lvmcheck.preflight`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from lvmcheck.errors import InputError, excerpt
from lvmcheck.launch.run_job import RunJob
from lvmcheck.pytest_plugin.training.answers import Answer, keep, verdict_at
from lvmcheck.suite import find_trainer
from lvmcheck.suite.called import Call

PROBES = ("overfit_batch", "resume_equal")
FIXTURES = (*PROBES, "same_trajectory")
"""Fixtures of the names of questions that need the model itself."""
HOOK = "model_and_batch"
BUDGET = 60.0
"""Seconds that a probe may take."""


def probed(config: pytest.Config, jobs: Mapping[int, RunJob], name: str, call: Call) -> Answer:
    """What a probe answers of the model with the config of the first seed.

    Raises:
        InputError: the trainer's module does not offer its model and a batch, or they cannot be used.
    """
    import lvmcheck

    seed, job = next(iter(jobs.items()))
    parts = _parts(job.run.info.get("trainer") or job.plan.suite.trainer, dict(job.run.config), name, call)
    try:
        report = lvmcheck.preflight(**{"budget_s": BUDGET, **parts, "only": [name]})
    except InputError as problem:
        raise call.error(problem.problem, key=f"{name}: {problem.where}", fix=problem.fix) from None
    except TypeError as problem:
        fix = f"{HOOK} returns the arguments of lvmcheck.preflight (docs/preflight.md)."
        raise call.error(excerpt(str(problem), 120), key=name, fix=fix) from None
    return keep(config, Answer(verdict_at(call, name, name, report[name].outcome, seed), jobs, seed))


def _parts(trainer: object, config: dict[str, Any], name: str, call: Call) -> dict[str, Any]:
    found = find_trainer(str(trainer))
    offer = getattr(importlib.import_module(found.module), HOOK, None)
    if offer is None:
        fix = (
            f"Give {found.module} a function {HOOK}(config) that returns the arguments of lvmcheck.preflight, such as "
            f'{{"model": model, "batch": batch, "loss": loss}}, or use the fixture {name}.'
        )
        raise call.error("asks the model itself", key=f"check {name!r}", fix=fix)
    got = offer(config) if inspect.isfunction(offer) else offer
    if not isinstance(got, Mapping) or not {"model", "batch"} <= set(got):
        problem = f'expected {{"model": ..., "batch": ...}} from {found.module}.{HOOK}, got {excerpt(repr(got), 60)}'
        raise call.error(problem, key=f"check {name!r}")
    return dict(got)
