"""``pytest --lvm-report``: the suites of a session as one file, whatever happened to them."""

from __future__ import annotations

import pytest

from suites.lvmcheck.plugin_kit.project import CHECKS, NODE_1, Project, floor
from suites.report.report_kit import Page


def report(project: Project) -> Page:
    return Page((project.path / "out" / "report.html").read_text())


def test_a_session_writes_its_runs_verdicts_and_links(project: Project) -> None:
    project.suite(*CHECKS, floor(2, 0.58, 'source = "the paper, table 2"'), seeds=[0, 1])
    result = project.pytest("--lvm-report", "out/report.html")
    result.assert_outcomes(passed=8, failed=2)
    result.stdout.fnmatch_lines(["report out/report.html * bytes"])
    html = report(project)
    table = html.text("table", class_="verdicts")
    assert table.startswith("check seed0 seed1 required required by")
    assert "toy" in html.text("h1")
    assert len(html.all("article", class_="place")) == 2
    assert "the paper, table 2" in html.text("ul", class_="failures")
    links = {attributes["href"].partition("#")[0] for attributes, _ in html.all("a", class_="where")}
    assert links == {"../suites/toy/suite.toml"}
    assert html.all("article", class_="cause")


def test_a_failure_that_the_suite_expects_is_shown_as_one_with_its_cause(project: Project) -> None:
    project.suite(floor(2, 0.58, 'expect = { outcome = "failed" }'), floor(1, 0.45, 'expect = { outcome = "failed" }'))
    project.pytest("--lvm-report", "out/report.html").assert_outcomes(passed=1, failed=1)
    html = report(project)
    assert "1 failed as expected" in html.text("ul", class_="counts")
    assert "1 failed" in html.text("ul", class_="counts").replace("1 failed as expected", "")
    assert NODE_1 in html.text("ul", class_="failures")
    assert html.all("article", class_="cause") != []


def test_only_what_was_asked_for_is_judged(project: Project) -> None:
    project.pytest("--lvm-report", "out/report.html", "-k", "epoch_1")
    table = report(project).text("table", class_="verdicts")
    assert NODE_1 in table
    assert "finite" not in table


def test_a_suite_that_cannot_be_trained_is_still_in_the_report(project: Project) -> None:
    project.suite(*CHECKS, die="raise_in_step", die_epoch=1)
    project.pytest("--lvm-report", "out/report.html")
    html = report(project)
    assert "4 could not be judged" in html.text("ul", class_="counts")
    assert "passed" not in html.text("ul", class_="counts")


def test_a_session_without_suites_says_that_it_has_no_verdicts(project: Project) -> None:
    (project.path / "test_other.py").write_text("def test_it(): pass\n")
    project.pytest("--lvm-report", "out/report.html", "test_other.py")
    assert report(project).text("ul", class_="counts") == "no verdicts"


def test_workers_of_xdist_leave_one_report(project: Project) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    project.suite(*CHECKS, seeds=[0, 1])
    result = project.pytest("-n", "2", "-p", "xdist", "--lvm-report", "out/report.html", inside=False)
    result.assert_outcomes(passed=8)
    html = report(project)
    assert html.text("table", class_="verdicts").startswith("check seed0 seed1 required")
    assert len(html.all("figure")) > 0


@pytest.mark.parametrize(("name", "says"), [("", "expected a file, got nothing"), ("suites", "got the folder suites")])
def test_a_place_that_is_no_file_is_refused_before_anything_is_trained(project: Project, name: str, says: str) -> None:
    result = project.pytest("--lvm-report", name, inside=False)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in result.stderr.str()
    assert not project.home.exists()
