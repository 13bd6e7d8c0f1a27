"""Holds a session to its suites: each check that was collected is answered or deselected aloud, or it fails."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from lvmcheck.pytest_plugin.constants import OWED, SUITE_FILE

SENT = "lvmcheck_taken_out"
SHOWN = 5


class Owed:
    """What a session owes; in a worker of xdist it only tells what was taken out there.

    Attributes:
        selected: checks that are to be answered. answers: whether each that was reported is good.
        lost: checks that were collected and then taken out without a word to pytest.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.collected: list[pytest.Item] = []
        self.deselected: set[pytest.Item] = set()
        self.selected: dict[str, None] = {}
        self.answers: dict[str, bool] = {}
        self.lost: dict[str, None] = {}
        self.groups = config.getoption("dist", "no") == "loadgroup"  # xdist then writes one behind each node id
        self.references = config.getoption("lvm_update_reference") is not None  # its own check is not asked

    # -- from pytest ----------------------------------------------------------------------------------------------
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if of_suite(item.nodeid):
            self.collected.append(item)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.deselected.update(items)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        here = set(session.items)
        gone = [item.nodeid for item in self.collected if item not in here and item not in self.deselected]
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[SENT] = json.dumps(gone)
            return
        self.lost |= dict.fromkeys(gone)
        self.selected |= {item.nodeid: None for item in session.items if of_suite(item.nodeid)}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self.selected |= {self._bare(name): None for name in ids if of_suite(name)}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.lost |= dict.fromkeys(json.loads(getattr(node, "workeroutput", {}).get(SENT, "[]")))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" or not of_suite(report.nodeid):
            return
        from lvmcheck.report.item import good, item_report

        item = item_report(report)
        self.answers[self._bare(report.nodeid)] = self.references if item is None else good(item.verdict)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        session.exitstatus = self.status(int(session.exitstatus))
        try:
            return (yield)
        finally:
            session.exitstatus = self.status(int(session.exitstatus))

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        from lvmcheck.pytest_plugin.pytest_api import tell

        for line in self.lines() if exitstatus == pytest.ExitCode.OK else ():
            tell(terminalreporter, line, red=True)

    # -- the answer ------------------------------------------------------------------------------------------------
    def status(self, exit_status: int) -> int:
        """The exit status of the session: pytest's, but not 0 where something is owed."""
        owes = exit_status == pytest.ExitCode.OK and (self.lost or self.open())
        return int(pytest.ExitCode.TESTS_FAILED if owes else exit_status)

    def open(self) -> list[str]:
        """Checks of suites without a good answer."""
        option = self.config.option
        if option.collectonly or getattr(option, "setuponly", False) or hasattr(self.config, "workerinput"):
            return []
        return [name for name in self.selected if not self.answers.get(name, False)]

    def lines(self) -> list[str]:
        """What other code has taken from the session, in words; what failed in plain sight is not repeated."""
        silent = [name for name in self.open() if name not in self.answers]
        return [*_told(list(self.lost), TAKEN), *_told(silent, UNANSWERED)]

    def _bare(self, nodeid: str) -> str:
        return nodeid.rpartition("@")[0] if self.groups else nodeid


TAKEN = "collected, and then taken out of the session by other code"
UNANSWERED = "not answered: skipped by other code, or never run"


def _told(names: Sequence[str], what: str) -> list[str]:
    if not names:
        return []
    more = [f"  and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return [f"lvmcheck: {what}: the session fails", *(f"  {name}" for name in names[:SHOWN]), *more]


def of_suite(nodeid: str) -> bool:
    """Whether the item is a check of a suite file."""
    return nodeid.partition("::")[0].rpartition("/")[2] == SUITE_FILE


def honest(session: pytest.Session) -> int:
    """The exit status of a session as it ought to be."""
    owed = session.config.stash.get(OWED, None)
    return int(session.exitstatus) if owed is None else int(owed.status(int(session.exitstatus)))
