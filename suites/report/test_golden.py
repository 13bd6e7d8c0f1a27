"""What each surface says, word by word: one file each, and every kind of verdict in it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from lvmcheck.checks import finding
from lvmcheck.checks.verdict_json import plain_json, verdict_json
from lvmcheck.report.failure import failure_of
from lvmcheck.report.html.page import render
from lvmcheck.report.html.report_run import ReportRun
from lvmcheck.report.machine import json_report
from lvmcheck.report.machine.annotations import workflow_commands
from lvmcheck.report.machine.gitlab import code_quality
from lvmcheck.report.machine.markdown import comment
from lvmcheck.report.machine.openmetrics import openmetrics
from lvmcheck.report.machine.session import SuiteReport
from lvmcheck.report.terminal import summary_lines
from lvmcheck.report.verdicts import KINDS, kind
from suites.report.golden_kit import CAUSE, entry, items, job, run, session, verdicts
from suites.report.report_kit import NOWHERE, Page

Golden = Callable[[str, str], None]


def test_the_golden_verdicts_are_of_all_kinds_that_a_suite_can_have() -> None:
    rare = {"pending", "not-run", "not-recorded"}  # a suite makes an error of what is not recorded
    assert {kind(verdict) for verdict in verdicts()} == set(KINDS) - rare


def test_terminal_failure(golden: Golden) -> None:
    failed = verdicts()[1]
    one = job()
    first = failure_of(entry(failed.name), failed, one)
    second = failure_of(entry("another"), failed, one)  # the cause stands at the first
    unclear = failure_of(entry(verdicts()[5].name), verdicts()[5], one)
    golden("terminal_failure.txt", "\n\n".join(map(str, (first, second, unclear))) + "\n")


def test_terminal_summary(golden: Golden) -> None:
    golden("terminal_summary.txt", "\n".join(summary_lines(items(), None)) + "\n")


def test_markdown(golden: Golden) -> None:
    golden("comment.md", comment(session()))


def test_json(golden: Golden) -> None:
    body = [verdict_json(verdict) for verdict in verdicts()]
    golden("verdicts.json", json.dumps(body, indent=1) + "\n")


def test_annotations_and_code_quality(golden: Golden) -> None:
    golden("annotations.txt", "\n".join(workflow_commands(session())) + "\n")
    golden("code_quality.json", code_quality(session()))


def test_openmetrics(golden: Golden) -> None:
    golden("metrics.txt", openmetrics(session()))


def test_html(golden: Golden) -> None:
    own = ReportRun(
        run=run(),
        label="seed0",
        suite="sums",
        verdicts=tuple(verdicts()),
        causes=(CAUSE,),
        judged="decided by its suite",
    )
    html = Page(render([own], folder=Path.cwd(), environ=NOWHERE))
    parts = [html.text("ul", class_="counts"), *(html.text("section", id=name) for name in ("causes", "verdicts"))]
    golden("page.txt", "\n\n".join(parts).replace(" ✗", "\n✗").replace(" ⚠", "\n⚠") + "\n")


def test_the_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json_report.render(session()))
    assert json_report.read(path) == session()


# -- a new field -------------------------------------------------------------------------------------------------------
def test_a_new_field_of_a_verdict_is_in_every_machine_form_by_itself() -> None:
    """Nobody lists the fields: JSON, what xdist is sent, the report and its schema come from the type."""
    from pydantic import TypeAdapter

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Verdict(finding.Verdict):
        owner: str = "somebody"

    old = verdicts()[0]
    new = Verdict(**{field.name: getattr(old, field.name) for field in dataclasses.fields(old)})
    assert verdict_json(new) == {**verdict_json(old), "owner": "somebody"}
    item = dataclasses.replace(items()[0], verdict=new)
    assert plain_json(item)["verdict"]["owner"] == "somebody"
    report = json_report.to_json(dataclasses.replace(session(), suites=(with_check(new),)))
    assert report["suites"][0]["checks"][0]["verdict"]["owner"] == "somebody"
    assert "owner" in TypeAdapter(Verdict).json_schema()["properties"]


def with_check(verdict: finding.Verdict) -> SuiteReport:
    (suite,) = session().suites
    return dataclasses.replace(suite, checks=(dataclasses.replace(suite.checks[0], verdict=verdict),))
