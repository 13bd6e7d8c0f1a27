"""The ``run`` fixture: the finished run of the suite file beside a Python test, once per seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lvmcheck.errors import InputError

if TYPE_CHECKING:
    from lvmcheck.pytest_plugin.session import LvmSession
    from lvmcheck.run.view import Run


def session_of(config: pytest.Config) -> LvmSession:
    from lvmcheck.pytest_plugin.session import LvmSession

    return LvmSession.of(config)


def parametrize_run(metafunc: pytest.Metafunc) -> None:
    """One test per seed of the suite file beside it."""
    path = metafunc.definition.path.parent / "suite.toml"
    try:
        suite = session_of(metafunc.config).suite(path)
    except InputError as problem:
        raise pytest.Collector.CollectError(str(problem)) from None
    metafunc.parametrize("run", suite.seeds, indirect=True, ids=[f"seed{seed}" for seed in suite.seeds])


def asks_ours(item: pytest.Item) -> bool:
    """Whether ``run`` is our fixture for this test, neither a fixture nor a parameter of its author."""
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
        if "run" in (names.replace(",", " ").split() if isinstance(names, str) else names):
            return False
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get("run", ())
    return bool(known) and getattr(known[-1].func, "__module__", "") == "lvmcheck.pytest_plugin.hooks"


def asks_run(item: pytest.Item) -> tuple[Path, int] | None:
    """Suite file and seed of a Python test that uses the ``run`` fixture."""
    callspec = getattr(item, "callspec", None)
    path = item.path.parent / "suite.toml"
    if callspec is None or "run" not in callspec.params or not asks_ours(item):
        return None
    seed = callspec.params["run"]
    return (path, seed) if isinstance(seed, int) and path.is_file() else None


def finished_run(request: pytest.FixtureRequest) -> Run:
    """The run beside a test, waited for before the test began."""
    if not hasattr(request, "param"):
        pytest.fail("the 'run' fixture needs a suite.toml beside the test", pytrace=False)
    session = session_of(request.config)
    path = request.node.path.parent / "suite.toml"
    job = session.launcher.want(session.suite(path), request.param, whole=True)
    if not job.run.finished:
        pytest.fail(f"{job.plan.title}: {job.run.stopped_where()}", pytrace=False)
    return job.run
