"""No finding on ordinary programs, on healthy things that break naive checks, and on the twins of broken programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import lvmcheck
from lvmcheck import Recorder
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.protocol import judge
from lvmcheck.watch.live import readers
from suites.watch.faults import TWINS
from suites.watch.healthy import AWKWARD, ORDINARY
from suites.watch.healthy_data import HEALTHY

CHECKS = [check for checks in readers().values() for check in checks]
BAD = (Status.FAILED, Status.WARNING, Status.ERROR)


def findings(program: Callable[[Recorder], None], folder: Path, seed: int = 0) -> tuple[list[Verdict], list[str]]:
    """What was found live, and the checks that do not accept the record of the run."""
    torch.manual_seed(seed)
    with lvmcheck.record(folder) as rec:
        program(rec)
        watchers = list(rec.watchers)
    run = lvmcheck.load(folder).without_plan()
    afterwards = [check.name() for check in CHECKS if judge(check, run).status in BAD]
    return [verdict for watcher in watchers for verdict in watcher.verdicts], afterwards


@pytest.mark.parametrize("name", [*ORDINARY, *AWKWARD, *HEALTHY])
def test_healthy_programs_have_no_finding(name: str, tmp_path: Path) -> None:
    live, afterwards = findings({**ORDINARY, **AWKWARD, **HEALTHY}[name], tmp_path / "run")
    assert [verdict.check for verdict in live] == []
    assert afterwards == []


@pytest.mark.parametrize("name", TWINS)
def test_healthy_twins_have_no_finding(name: str, tmp_path: Path) -> None:
    live, afterwards = findings(lambda rec: TWINS[name](rec, ""), tmp_path / "run")
    assert [verdict.check for verdict in live] == []
    assert afterwards == []


def test_most_checks_are_evaluated_on_a_healthy_program(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with lvmcheck.record(tmp_path / "run") as rec:
        ORDINARY["image_classifier"](rec)
    run = lvmcheck.load(tmp_path / "run").without_plan()
    assert sum(judge(check, run).status is Status.PASSED for check in CHECKS) >= 24
