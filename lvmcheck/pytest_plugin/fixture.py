"""The ``run`` fixture: the finished run of the suite file beside a Python test, once per seed."""

from __future__ import annotations

import pytest

from lvmcheck.errors import InputError
from lvmcheck.pytest_plugin.asks import asks_ours
from lvmcheck.pytest_plugin.constants import SUITE_FILE
from lvmcheck.pytest_plugin.session import LvmSession
from lvmcheck.run.view import Run
from lvmcheck.text.fit import fit


def parametrize_run(metafunc: pytest.Metafunc) -> None:
    """One test per seed of the suite file beside it."""
    if not asks_ours(metafunc.definition):
        return
    path = metafunc.definition.path.parent / SUITE_FILE
    try:
        suite = LvmSession.of(metafunc.config).suite(path)
    except InputError as problem:
        raise pytest.Collector.CollectError(str(problem)) from None
    metafunc.parametrize("run", suite.seeds, indirect=True, ids=[f"seed{seed}" for seed in suite.seeds])


def finished_run(request: pytest.FixtureRequest) -> Run:
    """The run beside a test, waited for before the test began."""
    if not hasattr(request, "param"):
        pytest.fail(fit(f"the 'run' fixture needs a {SUITE_FILE} beside the test"), pytrace=False)
    session = LvmSession.of(request.config)
    job = session.launcher.want(session.suite(request.node.path.parent / SUITE_FILE), request.param, whole=True)
    if not job.run.finished:
        pytest.fail(fit(f"{job.plan.title}: {job.run.stopped_where()}"), pytrace=False)
    return job.run
