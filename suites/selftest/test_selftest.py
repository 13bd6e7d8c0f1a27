"""The self-test itself: faults of the record, the earliest failure, tolerances, and a small training with faults."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lvmcheck.checks.curves.metric import Metric
from lvmcheck.checks.curves.metric_constant import MetricConstant
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.system.run_completed import RunCompleted
from lvmcheck.commands.main import main
from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import spell
from lvmcheck.run.view import Run
from lvmcheck.selftest.catalogue import faults
from lvmcheck.selftest.judging import PROCESS, Judged, Kill, kills, outcomes
from lvmcheck.selftest.record_faults import FAULTS
from lvmcheck.selftest.report import summary, to_json
from lvmcheck.selftest.session import Fate, Result, Selftest, Session
from lvmcheck.selftest.tolerance import tolerances
from lvmcheck.selftest.training import Subject

EPOCHS = 6
RECORD = {fault.name: fault for fault in FAULTS}


def run() -> Run:
    """Six epochs of ten steps in two windows each, two loss terms."""
    events: list[ev.Event] = [ev.Begin()]
    for epoch in range(1, EPOCHS + 1):
        for half in (0, 1):
            loss, first = 1.0 / epoch, 10 * (epoch - 1) + 5 * half + 1
            terms = {"a": ev.Term(weight=1.0, mean=0.75 * loss), "b": ev.Term(weight=0.5, mean=0.5 * loss)}
            window = ev.Window(
                epoch=epoch,
                first_step=first,
                last_step=first + 4,
                terms=terms,
                lr=0.1,
                loss_mean=loss,
                loss_min=loss,
                loss_max=loss,
            )
            events.append(window)
        metrics = {"train_loss": 1 / epoch, "val_loss": 1.1 / epoch, "val_accuracy": 1 - 0.5 / epoch}
        events.append(ev.Epoch(epoch=epoch, step=10 * epoch, metrics=metrics))
    return Run(events=tuple(events), info={"config": {"epochs": EPOCHS}}, done={"status": "finished"})


def judged(*checks: Check) -> list[Judged]:
    return [Judged(name=check.label(), check=check) for check in checks]


ACCURACY = Metric(metric="val_accuracy", at_least=0.7, epoch=2)


@pytest.mark.parametrize("name", RECORD)
def test_a_fault_of_the_record_changes_the_run(name: str) -> None:
    clean = run()
    changed = RECORD[name].change(clean)
    assert changed is not None
    assert (changed.events, changed.done, changed.death) != (clean.events, clean.done, clean.death)
    assert clean == run()


@pytest.mark.parametrize("name", [name for name in RECORD if not name.startswith("crash")])
def test_it_is_not_planted_in_a_run_without_anything(name: str) -> None:
    assert RECORD[name].change(Run(done={"status": "finished"})) is None


def test_the_earliest_failure_is_found_with_its_place() -> None:
    checks = judged(ACCURACY, MetricConstant())
    clean = outcomes(checks, run())
    changed = RECORD["metric_constant"].change(run())
    assert changed is not None
    assert [kill.check for kill in kills(checks, clean, changed)] == ["metric_constant"]
    worse = Run(events=run().events, info=run().info, done=run().done)
    tight = judged(Metric(metric="val_accuracy", at_least=0.8, epoch=2), ACCURACY)
    first = kills(tight, dict.fromkeys([item.name for item in tight], clean[ACCURACY.label()]), worse)[0]
    assert (first.epoch, first.step, first.measured, first.found) == (2, 20, 0.75, True)


def test_no_prefix_of_the_clean_run_is_killed() -> None:
    checks = judged(ACCURACY, MetricConstant())
    clean = outcomes(checks, run())
    for count in range(len(run().events) + 1):
        part = Run(events=run().events[:count], info=run().info)
        assert kills(checks, clean, part, stopped=True) == []


def test_a_death_is_a_kill_of_its_own() -> None:
    changed = RECORD["crash"].change(run())
    assert changed is not None
    checks = judged(ACCURACY)
    assert PROCESS in [kill.check for kill in kills(checks, outcomes(checks, run()), changed)]


def test_a_check_that_fails_on_the_clean_run_kills_nothing() -> None:
    checks = judged(Metric(metric="val_accuracy", at_least=0.99, epoch=2))
    assert kills(checks, outcomes(checks, run()), run()) == []


def test_the_loosest_bound_is_found_by_bisection() -> None:
    low = Run(events=run().events, info=run().info, done=run().done)  # 0.75 at epoch 2
    item = judged(Metric(metric="val_accuracy", at_least=0.9, epoch=2))[0]
    (found,) = tolerances(item, [low])
    assert found.key == "at_least"
    assert found.loosest == pytest.approx(0.75, abs=1e-4)
    assert found.loosest > 0.75


def test_the_score_counts_what_was_planted() -> None:
    fates = [Fate.KILLED, Fate.KILLED, Fate.SURVIVED, Fate.NOT_PLANTED, Fate.NOT_DONE]
    results = tuple(Result(name=str(i), about="", fate=fate) for i, fate in enumerate(fates))
    test = Selftest(title="t", clean={}, results=results)
    assert test.score == pytest.approx(2 / 3)
    assert to_json(test)["score"] == test.score
    assert "2 of 3" in summary(test)
    assert Selftest(title="t", clean={}).score is None


def test_a_check_that_measured_what_it_refused_is_not_called_idle() -> None:
    checks = judged(Metric(metric="val_accuracy", at_least=0.8, epoch=2), MetricConstant())
    clean = dict.fromkeys([item.name for item in checks], outcomes(checks, run())["metric_constant"])
    found = tuple(kills(checks, clean, run()))
    test = Selftest(title="t", clean=clean, results=(Result(name="f", about="", fate=Fate.KILLED, kills=found),))
    assert test.never_failed == ["metric_constant"]


def test_a_measured_nan_is_spelled_out_in_json() -> None:
    kill = Kill(check="c", events=1, epoch=0, step=1, code="nan", measured=float("nan"))
    test = Selftest(title="t", clean={}, results=(Result(name="f", about="", fate=Fate.KILLED, kills=(kill,)),))
    body = json.loads(json.dumps(spell(to_json(test)), allow_nan=False))
    assert body["faults"][0]["kills"][0]["measured"] == "NaN"


def test_names_are_distinct_and_there_are_about_forty() -> None:
    assert not set(faults()) & set(RECORD)
    assert 38 <= len(faults()) + len(RECORD) <= 50


# -- with training -----------------------------------------------------------------------------------------------------
def subject(at_least: float = 0.1, finished: Path | None = None) -> Subject:
    checks = judged(
        Metric(metric="val_r2", at_least=at_least, epoch="final"),
        Metric(metric="val_r2", at_least=0.0, epoch=1),
        RunCompleted(),
    )
    config = {"epochs": 2, "lr": 0.005, "seed": 0}
    info = {"trainer": "suites.selftest.trainers:regression", "config": config, "seed": 0}
    return Subject(title="regression", info=info, checks=checks, root=Path.cwd(), finished=finished)


@pytest.fixture(scope="module")
def unmodified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run of :func:`subject`, trained by a self-test that plants nothing."""
    home = tmp_path_factory.mktemp("unmodified")
    test = Session(subject=subject(), home=home, only=[], minutes=5).perform()
    assert (test.red, test.results) == ((), ())
    return home / "unmodified"


def test_faults_are_planted_in_a_process_of_their_own(unmodified: Path, tmp_path: Path) -> None:
    only = ["gradient_sign", "eval_ignored"]
    only += ["no_update", "hidden_term", "crash_at_the_end"] if os.environ.get("LVM_RELIABILITY") == "full" else []
    test = Session(subject=subject(finished=unmodified), home=tmp_path, only=only, minutes=5).perform()
    fates = {result.name: result.fate for result in test.results}
    assert test.red == ()
    assert fates["gradient_sign"] is Fate.KILLED
    assert fates["eval_ignored"] is Fate.NOT_PLANTED  # the model has neither dropout nor batch norm
    if "hidden_term" in only:
        assert fates["no_update"] is Fate.KILLED
        assert fates["crash_at_the_end"] is Fate.KILLED
        assert fates["hidden_term"] is Fate.SURVIVED  # nobody asked for loss_ledger


def test_a_run_that_does_not_pass_stops_it(unmodified: Path, tmp_path: Path) -> None:
    refused = subject(at_least=0.9999, finished=unmodified)
    test = Session(subject=refused, home=tmp_path, only=["no_update"], minutes=5).perform()
    assert test.results == ()
    assert test.red == ("metric[val_r2@final]",)


def test_what_was_not_done_is_listed(tmp_path: Path) -> None:
    session = Session(subject=subject(), home=tmp_path, only=["no_update"], minutes=5)
    session._ends = 0.0
    session._train([faults()["no_update"]], limit=60.0)
    assert [result.fate for result in session.results] == [Fate.NOT_DONE]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["suites/nowhere"], "suites/nowhere"),
        (["suites/selftest/ordinary_language", "--min-score", "2"], "--min-score"),
        (["suites/selftest/ordinary_language", "--minutes", "0"], "--minutes"),
        (["suites/selftest/ordinary_language", "--jobs", "0"], "--jobs"),
        (["suites/selftest/ordinary_language", "--faults", "no_updat"], "no_updat"),
        (["suites/selftest/ordinary_language", "--config", "c.json"], "--config"),
        (["suites/known_failures/articles_joined"], "check.expect"),
        (["no.module:train"], "no.module"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert part in error[0]


def test_a_config_must_be_an_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps([1]))
    assert main(["selftest", "suites.selftest.trainers:regression", "--config", str(path)]) == 2
    assert "expected a JSON object" in capsys.readouterr().err
