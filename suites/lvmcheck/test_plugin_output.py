"""What a person sees: header, items with figures, progress, the table of verdicts and the path of the run."""

from __future__ import annotations

from suites.lvmcheck.plugin_kit.project import CHECKS, NODE_1, Project, floor, verdicts


def test_a_suite_passes_and_says_what_it_measured(project: Project) -> None:
    result = project.pytest("-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "lvmcheck 0.1.0 · toy · profile smoke* · device cpu · 1 seed",
            "  data chosen by the trainer * --lvm-data PATH *profiles: ci, full",
            "  data toy: constant mean 0.4000 · persistence 0.4200 · mean of context 0.4500 · best linear 0.5000",
            "  seed0  ▁  epoch 1/4  train .51*  val .50*",
            "*suite.toml::seed0::cosine_floor[[]val_cosine@1[]] PASSED  val cosine 0.50* at epoch 1 (floor 0.45)*",
            "  seed0  *  epoch 3/4  *",
            "*suite.toml::seed0::finite PASSED  0 of * recorded values *",
            "*- verdicts of toy (smoke) -*",
            "check  *seed0 *required",
            "cosine_floor[[]val_cosine@1[]] *✓ 0.50*  floor 0.45",
            "run seed0  .lvmcheck/runs/toy/smoke-seed0-*  run finished at epoch 4 of 4",
        ]
    )
    assert "\x1b" not in result.stdout.str()


def test_quiet_says_no_progress_and_keeps_the_table(project: Project) -> None:
    text = project.pytest("-q").stdout.str()
    assert "epoch 1/4" not in text
    assert "profile smoke" not in text.replace("(smoke)", "")
    assert "run seed0  .lvmcheck/runs/toy" in text
    assert "verdicts of" not in project.pytest("-qq").stdout.str()


def test_a_failure_shows_measured_bound_epoch_line_run_and_cause(project: Project) -> None:
    project.suite(*CHECKS, floor(2, 0.58, 'source = "the paper, table 2"'))
    result = project.pytest()
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*val cosine 0.55* at epoch 2 (floor 0.58)",
            "*required by suites/toy/suite.toml:* (the paper, table 2)",
            "  run   .lvmcheck/runs/toy/smoke-seed0-*",
            "*the model trained normally for its data*",
            "*next: *",
            "FAILED suites/toy/suite.toml::seed0::cosine_floor[[]val_cosine@2[]] - val cosine*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_the_table_has_a_column_for_every_seed(project: Project) -> None:
    project.suite(seeds=[3, 11])
    result = project.pytest("--lvm-jobs", "2")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["check  *seed3  *seed11  *required", "finite *✓ 0 *✓ 0 *"])


def test_junit_holds_the_figures(project: Project) -> None:
    project.pytest("--junitxml=report.xml").assert_outcomes(passed=4)
    text = (project.path / "report.xml").read_text()
    assert '<property name="measured" value="0.50' in text
    assert '<property name="required" value="floor 0.45"' in text


def test_the_epoch_keyword_matches_whole_numbers(project: Project) -> None:
    """-k epoch_1 must not select what is due at epoch 10 and train ten times as long."""
    project.suite(floor(1, 0.4), floor("final", 0.4), epochs=10, curve=[0.5] * 10, steps=2)
    result = project.pytest("-v", "-k", "epoch_1")
    assert verdicts(result) == {f"seed0::{NODE_1}": "PASSED"}
    project.pytest("-k", "EPOCH_10 and not epoch_2").assert_outcomes(passed=1, deselected=1)


def test_two_suites_of_one_name_have_tables_of_their_own(project: Project) -> None:
    other = project.path / "more" / "suites" / "toy"
    other.mkdir(parents=True)
    (other / "suite.toml").write_text(project.suite_file.read_text())
    project.suite(floor(1, 0.4))
    result = project.pytest()
    result.assert_outcomes(passed=5)
    assert result.stdout.str().count("verdicts of toy (smoke)") == 2
