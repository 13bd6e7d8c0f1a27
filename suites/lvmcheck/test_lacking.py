"""What a whole subject of checks says of a run that lacks its data: the same as each of its checks by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.checks import table, watch
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import check_names, judge, load_check, universal_checks
from lvmcheck.checks.table._table import table_run
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.view import run_from

SUBJECTS = {"watch": watch.lacking, "table": table.lacking}
PLAIN = run_from({"train_loss": [1.0, 0.5, 0.2]})
OF = [name for name in check_names() if load_check(name).__module__.split(".")[2] in SUBJECTS]


@pytest.mark.parametrize("name", OF)
def test_each_check_answers_what_its_subject_says(name: str) -> None:
    kind = load_check(name)
    said = SUBJECTS[kind.__module__.split(".")[2]](PLAIN)
    assert said == judge(kind(), PLAIN)
    assert kind().label() == name, "its verdict is named without it"
    assert kind.universal


def test_a_subject_says_nothing_where_something_was_measured_or_may_come() -> None:
    assert watch.lacking(case_run("gradient_norm", [{"norm": 1.0}])) is None
    assert table.lacking(table_run().extended(PLAIN.events)) is None
    going_on = run_from({"train_loss": [1.0]}, over=False)
    assert watch.lacking(going_on) is None
    assert table.lacking(going_on) is None


def test_all_universal_checks_have_a_verdict() -> None:
    verdicts = lvmcheck.evaluate(PLAIN)
    assert [verdict.check for verdict in verdicts] == [check.name() for check in universal_checks()]
    watched = {verdict.check for verdict in lvmcheck.evaluate(case_run("gradient_norm", [{"norm": 1.0}] * 3))}
    assert watched == {verdict.check for verdict in verdicts}


def test_a_command_loads_no_check_of_what_was_not_measured(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("epoch,loss\n1,1.0\n2,0.5\n3,0.4\n")
    code = (
        "import json, sys\nfrom lvmcheck.commands.main import main\nmain(['check', sys.argv[1], '--json'])\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "log.csv"], capture_output=True, text=True, check=True, timeout=180
    )
    loaded = set(json.loads(done.stderr))
    assert not {f"lvmcheck.checks.watch.{name}" for name in OF} & loaded
    assert not loaded & {"pydantic", "torch", "scipy", "lvmcheck.causes.protocol"}
    assert {
        item["check"] for item in json.loads(done.stdout) if item["outcome"]["status"] == Status.NOT_RECORDED.value
    } >= {"gradients_cleared"}
