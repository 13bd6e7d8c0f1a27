"""Tests that change the state of a whole process run in one of their own, once for each file.

A test marked ``own_process`` sets the user, the working directory, the environment or a limit. Trainers of other suites
are started from the same process meanwhile, so a child pytest runs all marked tests of the file, and their reports are
shown here as if they had run here. Of several workers of pytest-xdist, which may share the tests of a file, the first
starts the child, and the others wait for its reports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

MARK = "own_process"
REPORTS = "LVM_OWN_PROCESS"
"""Environment variable by which a child knows that it is one: the file for its reports."""
WITHOUT = tuple(word for name in ("cacheprovider", "hypothesispytest", "anyio") for word in ("-p", f"no:{name}"))
"""Plugins that a child does not need; hypothesis is imported by its own at the end of every session."""
REPORTED = pytest.StashKey[dict[str, list[dict[str, Any]]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}: changes the state of its process, so it runs in one of its own")
    if REPORTS in os.environ:
        config.pluginmanager.register(Keeper(config, Path(os.environ[REPORTS])))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """In the session: replay what the child reported of this test. In the child: run it as usual."""
    if REPORTS in os.environ or not _is_marked(item):
        return None
    known = item.config.stash.setdefault(REPORTED, {})
    if item.nodeid not in known:
        marked = [other.nodeid for other in item.session.items if other.path == item.path and _is_marked(other)]
        known.update(_once(item, marked))
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for data in known[item.nodeid]:
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
        if isinstance(report.longrepr, list):
            report.longrepr = tuple(report.longrepr)  # the reason of a skip, which JSON has made a list
        item.ihook.pytest_runtest_logreport(report=report)
    # What the test before left set up for this one (its folder) is torn down up to what the next one shares.
    item.session._setupstate.teardown_exact(nextitem)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _is_marked(item: pytest.Item) -> bool:
    """Whether it runs in a process of its own; what is skipped needs none."""
    skipped = item.get_closest_marker("skip") or any(mark.args[:1] == (True,) for mark in item.iter_markers("skipif"))
    return item.get_closest_marker(MARK) is not None and not skipped


class Keeper:
    """In the child: keeps every report for the session."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config, self._path = config, path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        body = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with self._path.open("a", encoding="utf-8") as file:
            print(json.dumps(body), file=file)


def _once(item: pytest.Item, nodeids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The child's reports, which the workers of a session share by a file in its temporary folder."""
    if not hasattr(item.config, "workerinput"):
        return _run(item, nodeids)
    base: Path = item.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    place = base.parent / f"{item.path.stem}-{sha256(str(item.path).encode()).hexdigest()[:8]}.json"
    with FileLock(f"{place}.lock"):
        if not place.exists():
            place.write_text(json.dumps(_run(item, nodeids)), encoding="utf-8")
        found: dict[str, list[dict[str, Any]]] = json.loads(place.read_text(encoding="utf-8"))
        return found


def _run(item: pytest.Item, nodeids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The child's reports of these tests, by test; one that it did not finish has failed with the child's output."""
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder) / "reports.jsonl"
        reports.touch()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        child = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *WITHOUT, *nodeids],
            cwd=item.config.rootpath,
            env={**inherited, REPORTS: str(reports)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        bodies = list(map(json.loads, reports.read_text(encoding="utf-8").splitlines()))
    found: dict[str, list[dict[str, Any]]] = {nodeid: [] for nodeid in nodeids}
    for body in bodies:
        found.setdefault(body["nodeid"], []).append(body)
    ended = {body["nodeid"] for body in bodies if body["when"] == "teardown"}
    for nodeid in found.keys() - ended:
        text = f"its own process exited {child.returncode}:\n{child.stdout.decode(errors='replace')}"
        lost = pytest.TestReport(nodeid, item.location, {}, "failed", text, "call")
        found[nodeid].append(item.config.hook.pytest_report_to_serializable(config=item.config, report=lost))
    return found
