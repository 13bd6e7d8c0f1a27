"""What a session reports to machines: everything that happened, also when it went wrong, as the schema says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.bounds import floor as floor_at
from lvmcheck.errors import InputError
from lvmcheck.report.machine import json_report
from lvmcheck.report.machine.__main__ import main
from lvmcheck.report.machine.session import CheckReport, SessionReport
from lvmcheck.report.verdicts import KINDS, kind, unreached
from suites.ci.gate_kit import ROOT, Repository
from suites.lvmcheck.plugin_kit.project import CHECKS, NODE_1, NODE_3, NODE_END, floor

pytestmark = pytest.mark.own_process  # it sets the environment

SCHEMA = ROOT / "docs" / "report.schema.json"
HIGH = floor(3, 0.7, 'name = "too high"', 'source = "a paper"')


def valid(repository: Repository) -> SessionReport:
    """The report, held against the published schema and read back; what is read is what was written."""
    jsonschema = pytest.importorskip("jsonschema", reason="pip install -e '.[dev]'")
    body = repository.report()
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(body)
    found = json_report.read(repository.report_file)
    assert json_report.to_json(found) == body
    return found


def line_of(check: CheckReport) -> int:
    assert check.verdict.asked is not None
    return check.verdict.asked.line or 0


def statuses(report: SessionReport) -> dict[str, str]:
    checks = (check for suite in report.suites for check in suite.checks)
    return {f"{it.verdict.seed} {it.verdict.name}": KINDS[kind(it.verdict)] for it in checks}


def test_the_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text()) == json_report.schema(), "make docs"


def test_a_session_in_full(repository: Repository) -> None:
    repository.suite(*CHECKS, HIGH)
    commit = repository.commit()
    repository.session("suites", apart=True)
    report = valid(repository)
    assert (report.status, report.exit_status) == ("failed", 1)
    assert report.started <= (report.ended or "")
    assert report.seconds > 0
    assert report.git is not None
    assert report.git == report.git_after
    assert (report.git.commit, report.git.dirty) == (commit, False)
    assert report.arguments[-1] == "suites"
    assert vars(report.tests) == {
        "collected": 10,
        "deselected": 0,
        "passed": 8,
        "failed": 2,
        "skipped": 0,
        "errors": 0,
    }
    (suite,) = report.suites
    assert (suite.file, suite.profile, suite.device, suite.declared) == ("suites/toy/suite.toml", "smoke", "cpu", 5)
    for run in suite.runs:
        assert (run.own, run.key, len(run.required_key)) == (True, run.required_key, 64)
        assert (run.status, run.last_epoch, run.epochs, run.used_device) == ("finished", 4, 4, "cpu")
        assert run.samples_per_second is not None
        assert run.samples_per_second > 0
        assert run.ended == "run finished at epoch 4 of 4"
    check = next(check for check in suite.checks if check.verdict.name == "too high")
    high, finding = check.verdict, check.verdict.finding
    assert (high.status, check.pytest, high.check, high.source) == ("failed", "failed", "cosine_floor", "a paper")
    assert high.asked is not None
    assert repository.suite_file.read_text().splitlines()[(high.asked.line or 0) - 1] == "[[check]]"
    assert finding is not None
    assert finding.measured == pytest.approx(0.58, abs=0.01)
    assert finding.margin == pytest.approx(-0.12, abs=0.01)
    assert (finding.epoch, check.attempts, high.outcome.evaluated, finding.bounds) == (3, 1, 1, (floor_at(0.7),))
    assert {cause.seed for cause in suite.causes} == {0, 1}


def test_workers_of_xdist_report_once(repository: Repository) -> None:
    repository.suite(*CHECKS, HIGH)
    repository.commit()
    repository.pytest("--lvm-json", str(repository.report_file))
    alone = valid(repository)
    repository.pytest("--lvm-json", str(repository.report_file), "-n", "2", "-k", "not finite", "--lvm-fresh")
    workers = valid(repository)
    expected = {name: "not run" if "finite" in name else status for name, status in statuses(alone).items()}
    assert statuses(workers) == expected
    assert workers.tests.collected == 10
    assert workers.tests.deselected == 2
    assert [run.own for run in workers.suites[0].runs] == [True, True]
    assert len(workers.suites[0].causes) == len(alone.suites[0].causes)


def test_sessions_that_went_wrong(repository: Repository) -> None:
    (repository.path / "test_it.py").write_text("def test_it():\n    raise KeyboardInterrupt\n")
    repository.session("test_it.py", "suites", inside=False)
    report = valid(repository)
    assert (report.status, report.exit_status) == ("interrupted", 2)
    assert set(statuses(report).values()) == {"not run"}
    (repository.path / "test_it.py").write_text("import nowhere_at_all\n")
    repository.session("test_it.py")
    report = valid(repository)
    assert report.status == "interrupted"
    assert (report.troubles[0].where, report.troubles[0].when) == ("test_it.py", "collection")
    assert "nowhere_at_all" in report.troubles[0].message
    repository.session("--co")
    assert set(statuses(valid(repository)).values()) == {"not run"}


def test_an_abort_and_what_it_left_open(repository: Repository) -> None:
    repository.suite(*CHECKS, floor(1, 0.9, "abort_below = 0.8", 'name = "abort"'), seeds=[0])
    repository.session()
    report = valid(repository)
    assert statuses(report)["0 abort"] == "failed"
    assert {it.verdict.name for it in report.suites[0].checks if unreached(it.verdict)} == {NODE_3, NODE_END, "finite"}
    assert report.suites[0].runs[0].status == "stopped"


def test_numbers_that_are_not_finite_are_spelled(repository: Repository) -> None:
    repository.suite(*CHECKS, seeds=[0], nan_at=[2, 3])
    repository.session()
    assert statuses(valid(repository))["0 finite"] == "failed"
    finding = next(it.verdict.finding for it in valid(repository).suites[0].checks if it.verdict.name == "finite")
    assert finding is not None
    json.loads(repository.report_file.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("name", ["", "nowhere\0"])
def test_files_that_cannot_be_written(repository: Repository, name: str) -> None:
    if name:
        (repository.path / "file").write_text("")
        name = "file/below.json"
    result = repository.pytest("--lvm-json", name)
    assert result.ret == 4
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    result.stderr.fnmatch_lines(["ERROR: *expected a file, got nothing*" if not name else "ERROR: *cannot be written*"])


# -- renderings --------------------------------------------------------------------------------------------------------
HOSTILE = '</code><script>x</script> `|` @everyone [a](https://evil.invalid) \\"x'


@pytest.fixture
def hostile(repository: Repository) -> Repository:
    """A report whose suite and check have names that nobody means well with."""
    repository.suite(
        *CHECKS, floor(3, 0.7, f"name = {json.dumps(HOSTILE)}", f"source = {json.dumps(HOSTILE + '::error::x')}")
    )
    repository.commit()
    kinds = {"markdown": "c.md", "gitlab": "g.json", "openmetrics": "m.txt"}
    repository.session(*(word for kind, name in kinds.items() for word in (f"--lvm-{kind}", name)))
    return repository


def test_renderings_make_nothing_of_foreign_text(hostile: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    markdown(hostile)
    gitlab_code_quality(hostile)
    openmetrics(hostile)
    renderings_of_a_report_that_was_written(hostile, capsys)
    for edit, word in UNREADABLE:
        unreadable(hostile, edit, word)


def markdown(hostile: Repository) -> None:
    text = (hostile.path / "c.md").read_text()
    assert text.startswith("<!-- lvmcheck report -->\n### ❌ lvmcheck: 2 of 10 checks failed\n")
    assert "✅ 0.5" in text
    assert "the model trained normally for its data" in text
    outside = "".join(part for i, part in enumerate(text.replace("\\`", "").split("`")) if i % 2 == 0)
    for bad in ("<script", "@everyone", "https://", "[a]("):
        assert bad not in outside
    rows = [line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| `")]
    assert set(rows) <= {5, 12}  # verdicts and overview: no cell was split


def gitlab_code_quality(hostile: Repository) -> None:
    found = json.loads((hostile.path / "g.json").read_text())
    assert len(found) == 2
    assert len({item["fingerprint"] for item in found}) == 2
    for item in found:
        assert set(item) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert (item["severity"], item["check_name"]) == ("major", "lvmcheck.cosine_floor")
        assert item["location"]["path"] == "suites/toy/suite.toml"
        assert item["location"]["lines"]["begin"] == max(line_of(it) for it in valid(hostile).suites[0].checks)


def openmetrics(hostile: Repository) -> None:
    lines = (hostile.path / "m.txt").read_text().splitlines()
    assert lines[-1] == "# EOF"
    samples = [line for line in lines if not line.startswith("#")]
    assert sum(line.startswith("lvmcheck_check_passed{") and line.endswith(" 1.0") for line in samples) == 8
    assert sum(line.startswith("lvmcheck_check_passed{") and line.endswith(" 0.0") for line in samples) == 2
    assert all(line.rpartition(" ")[2].replace(".", "").replace("-", "").replace("e", "").isdigit() for line in samples)
    assert '\\\\\\"x"' in "".join(samples)


def test_github_gets_annotations_and_a_summary(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = repository.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    repository.suite(*CHECKS, floor(3, 0.7, f"name = {json.dumps('100 %, a: b')}"), seeds=[0])
    result = repository.pytest("-q")
    (line,) = (line for line in result.outlines if line.startswith("::error"))
    asked = len(repository.suite_file.read_text().split("[[check]]")) - 1
    number = [i for i, row in enumerate(repository.suite_file.read_text().splitlines(), 1) if row == "[[check]]"][
        asked - 1
    ]
    place, _, said = line.removeprefix("::error ").partition("::")
    where = f"file=suites/toy/suite.toml,line={number},title=toy (smoke) seed0%3A 100 %25%2C a%3A b"
    assert place == where
    assert said.startswith("val cosine 0.58")
    assert "%0Afix: " in said
    assert summary.read_text().startswith("### ❌ lvmcheck: 1 of 5 checks failed")
    other = repository.pytest("-q", "--co", str(repository.path / "mine.py"))
    assert "::error" not in other.stdout.str()


def renderings_of_a_report_that_was_written(hostile: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    again = hostile.path / "again.md"
    code = main([str(hostile.report_file), "--markdown", str(again), "--annotations"])
    assert code == 0
    assert again.read_text() == (hostile.path / "c.md").read_text()
    assert capsys.readouterr().out.count("::error file=suites/toy/suite.toml,line=") == 2


UNREADABLE: list[tuple[Callable[[Any], object], str]] = [
    (lambda body: body.update(format=7), "format: expected a report of format 4, got 7"),
    (lambda body: body["suites"][0].update(name="other"), "digest: its content does not match its digest"),
    (lambda body: body.clear(), "format: expected a report of format 4, got None"),
]


def unreadable(hostile: Repository, edit: Callable[[Any], object], word: str) -> None:
    body = hostile.report()
    edit(body)
    path = hostile.path / "edited.json"
    path.write_text(json.dumps(body))
    with pytest.raises(InputError, match=r"edited\.json") as caught:
        json_report.read(path)
    assert word in str(caught.value)
    assert main([str(path)]) == 2


def test_a_report_with_another_field_is_refused(repository: Repository, tmp_path: Path) -> None:
    from suites.ci.gate_kit import seal

    repository.session("-k", NODE_1)
    body = repository.report()
    body["suites"][0]["checks"][0]["answer"] = "passed"
    path = tmp_path / "more.json"
    path.write_text(seal(body))
    with pytest.raises(InputError, match=r"suites.0.checks.0.answer: Unexpected keyword argument"):
        json_report.read(path)
