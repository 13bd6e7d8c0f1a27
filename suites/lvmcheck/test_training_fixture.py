"""The ``training`` fixture of Python tests: green, red, NaN, missing, dead, stopped, reused, scripts and xdist."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.means import Figure, seeds_compared
from lvmcheck.errors import BadValueError, InputError
from lvmcheck.report.item import trained_reports
from lvmcheck.suite.called import Call, Wanted, called_suite
from suites.lvmcheck.plugin_kit.project import KIT, OPTIONS, events

BASE = 'training("learner:main", {"lr": 0.05, "epochs": 6}, seeds=[0, 1, 2])'
TESTS = f"""
import learner
import pytest

@pytest.fixture(scope="module")
def run(training):
    return {BASE}

def test_green(run):
    accuracy = run.metric("val_accuracy")
    assert accuracy.final >= 0.8
    assert 0.8 <= accuracy.final <= 0.81
    assert accuracy.best.low > 0.8 and accuracy.at(1).highest < 0.5
    assert accuracy.first < accuracy.final
    assert run.metric("val_loss").descends()
    run.check("overfits", "metric", metric="val_loss", at_most=1.0)
    assert run.seed(2).seed == 2

def test_red(training):
    assert {BASE}.metric("val_accuracy").final >= 0.95

def test_red_worst_seed(run):
    bound = 0.804
    assert bound < run.metric("val_accuracy").final.lowest

def test_red_descends(run):
    assert run.metric("rising").descends()

def test_red_check(run):
    run.check("overfits", "metric", metric="val_loss", at_most=0.1)

def test_nan_less(run):
    assert not run.metric("odd").final < 1

def test_nan_unequal(run):
    assert run.metric("odd").final != 1

def test_nan_best(run):
    assert not run.metric("odd").at(2).highest >= 1

def test_missing_metric(run):
    run.metric("val_acuracy")

def test_missing_seed(run):
    run.seed(3)

def test_missing_epoch(run):
    run.metric("val_loss").at(7) < 1

def test_not_recorded(run):
    run.check("split_disjoint")

def test_no_check(run):
    run.check("overfit_batch")

def test_truth(run):
    assert run.metric("val_loss").final

def test_branch(run):
    if run.metric("val_loss").final > 1:
        raise ValueError

def test_dies(training):
    training(learner.here, {{"lr": 0.05, "epochs": 3, "die": 2}}).metric("val_loss")

def test_dies_unasked(training):
    training(learner.here, {{"lr": 0.05, "epochs": 3, "die": 2}})

def test_wrong_unasked(training):
    training("learner:mian", {{"lr": 0.05, "epochs": 3}})

def test_green_unasked(training):
    {BASE}

def test_ends_early(training):
    training("learner:main", {{"lr": 0.05, "epochs": 3, "ends": 2}}).metric("val_loss")

def test_stopped(training):
    run = training("learner:main", {{"lr": 0.01, "epochs": 5}}, abort_below={{"val_accuracy@2": 0.5}})
    run.metric("val_loss")

def test_would_have_stopped(training):
    bound = {{"val_accuracy@2": 0.6}}
    run = training("learner:main", {{"lr": 0.05, "epochs": 6}}, seeds=[0], abort_below=bound)
    assert run.metric("val_accuracy").final >= 0.8

def test_equal_seeds(training):
    run = training("learner:deaf", {{"lr": 0.05, "epochs": 6}}, seeds=[0, 1])
    assert run.metric("val_accuracy").final >= 0.8
"""
GREEN = ("green", "branch", "green_unasked")


class Session:
    """An inner session in this process, by the names of its tests."""

    def __init__(self, pytester: pytest.Pytester, *words: str) -> None:
        found = pytester.inline_run(*OPTIONS, *words)
        reports = [report for report in found.getreports("pytest_runtest_logreport") if report.when == "call"]
        self.reports = {report.nodeid.rpartition("::test_")[2]: report for report in reports}
        self.outcomes = {name: report.outcome for name, report in self.reports.items()}

    def text(self, name: str) -> str:
        return "\n".join([self.reports[name].longreprtext, *(body for _, body in self.reports[name].sections)])

    def verdicts(self, name: str) -> list[Verdict]:
        return [item.verdict for item in trained_reports(self.reports[name])]

    def failed(self, name: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts(name) if verdict.status is not Status.PASSED]


def prepare(pytester: pytest.Pytester, tests: str) -> Path:
    path = pytester.path
    (path / "learner.py").write_text((KIT / "learner.py").read_text())
    (path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (path / "test_learner.py").write_text(tests)
    return path


def begun(path: Path) -> int:
    """How often a trainer was started in the run directories of this project."""
    return sum(len(events(folder.parent, "begin")) for folder in path.glob(".lvmcheck/runs/*/*/events.jsonl"))


def final(seed: int, lr: float = 0.05, steps: int = 24) -> float:
    return 1 - (2 + seed / 100) * (1 - lr) ** steps / 3


def test_what_a_test_is_told(pytester: pytest.Pytester) -> None:
    path = prepare(pytester, TESTS)
    session = Session(pytester)
    assert session.outcomes == {name: "passed" if name in GREEN else "failed" for name in session.outcomes}
    assert len(session.outcomes) == 23
    assert begun(path) == 8  # three seeds once, for three calls; the three that end, and two that are equal
    _red(session)
    _nan(session)
    _refused(session)
    _ends(session)
    again = Session(pytester, "-k", "green or red", "--lvm-json=r.json", "--lvm-markdown=r.md")
    assert (again.outcomes["green"], begun(path)) == ("passed", 8)
    _reported(again, path)
    trainer = path / "learner.py"
    trainer.write_text(trainer.read_text().replace("2.0 +", "2.5 +"))
    assert Session(pytester, "-k", "test_red_worst_seed").outcomes == {"red_worst_seed": "failed"}
    assert begun(path) == 11


def _reported(session: Session, path: Path) -> None:
    """The same verdicts in the reports that machines read, and a gate can read the report."""
    body = json.loads((path / "r.json").read_text())
    told = [
        (each["node"].rpartition("::test_")[2], each["verdict"]["name"], each["verdict"]["outcome"]["status"])
        for each in body["trained"]
    ]
    shown = [(name, it.name, it.status.value) for name in session.reports for it in session.verdicts(name)]
    assert sorted(told) == sorted(shown)
    assert {"passed", "failed"} <= {status for _, _, status in told}
    assert "Failed in Python tests" in (path / "r.md").read_text()


def _red(session: Session) -> None:
    (verdict,) = session.failed("red")
    finding = verdict.finding
    assert finding is not None
    assert (verdict.check, verdict.seed, finding.code, finding.epoch) == ("metric", "seeds", "mean_over_seeds", 6)
    assert finding.number == pytest.approx(final(1))
    assert [finding.fact(f"seed{seed}").value for seed in range(3)] == pytest.approx([final(s) for s in range(3)])  # type: ignore[union-attr]
    text = session.text("red")
    shown = ("(floor 0.95)", *(f"seed{seed} {final(seed):.4f}" for seed in range(3)), "95 % interval", "▁", "next: ")
    assert [word for word in (*shown, "test_learner.py", "val_accuracy") if word not in text] == []
    (worst,) = session.failed("red_worst_seed")
    assert worst.finding is not None
    assert worst.finding.code == "lowest_over_seeds"
    assert worst.finding.number == pytest.approx(final(2))
    assert "seed2 " in session.text("red_worst_seed")
    assert [verdict.finding.code for verdict in session.failed("red_descends") if verdict.finding] == ["never_fell"] * 3
    assert [(it.check, it.seed) for it in session.failed("red_check")] == [("metric", seed) for seed in range(3)]
    assert session.text("red_check").count("ceiling 0.1") == 3
    assert session.verdicts("branch") == []  # what a test that passed did not assert


def _nan(session: Session) -> None:
    for name in ("nan_less", "nan_best"):
        (verdict,) = session.failed(name)
        assert verdict.finding is not None
        assert math.isnan(verdict.finding.number)
        assert verdict.status is Status.FAILED
    assert "!=" in session.text("nan_unequal")


def _refused(session: Session) -> None:
    """One line with the place of the call and the nearest name."""
    hints = {
        "missing_metric": "'val_accuracy'",
        "missing_seed": "0, 1, 2",
        "missing_epoch": ".at(6)",
        "no_check": "overfit_batch",
        "truth": ">=",
    }
    lines = dict(enumerate(TESTS.splitlines(), start=1))
    for name, hint in hints.items():
        place, _, rest = session.text(name).partition(": ")
        file, _, line = place.partition(":")
        assert (file, hint in rest) == ("test_learner.py", True), session.text(name)
        assert "\n" not in rest
        assert "run." in lines[int(line)]
    assert [it.status for it in session.failed("not_recorded")] == [Status.ERROR] * 3


def _ends(session: Session) -> None:
    assert "ValueError: the loss has no gradient" in session.text("dies")
    assert "learner.py" in session.text("dies")
    assert "ValueError: the loss has no gradient" in session.text("dies_unasked")
    assert "learner has no function 'mian'" in session.text("wrong_unasked")
    assert "2 of 3" in session.text("ends_early")
    assert "floor 0.5" in session.text("stopped")
    assert "▁" in session.text("stopped")
    assert "would have stopped it" in session.text("would_have_stopped")
    assert "floor 0.6" in session.text("would_have_stopped")
    assert "1 distinct of 2" in session.text("equal_seeds")


SCRIPT = """
import os, sys, lvmcheck
lr = float(sys.argv[2])
with lvmcheck.record(os.environ["LVMCHECK_RUN"], config={"lr": lr}) as rec:
    loss = 2.0
    for epoch in range(3):
        loss *= 1 - lr
        rec.step(loss=loss)
        rec.epoch(epoch, val_loss=loss + int(os.environ["LVMCHECK_SEED"]))
"""
HISTORY = """
import sys, pathlib
pathlib.Path(sys.argv[1]).mkdir()
pathlib.Path(sys.argv[1], "log.csv").write_text("epoch,val_loss\\n1,2.0\\n2,1.0\\n3,0.5\\n")
"""
SCRIPTS = f"""
def test_script(training):
    assert training(["script.py", "--lr", "0.5"], seeds=[3]).metric("val_loss").final == 3.25

def test_history(training):
    assert training("{sys.executable} history.py {{out}}", inputs=["history.py"]).metric("val_loss").final == 0.5

def test_nothing(training):
    training(["history.py", "elsewhere"]).metric("val_loss")
"""


def test_scripts_and_commands(pytester: pytest.Pytester) -> None:
    path = prepare(pytester, SCRIPTS)
    (path / "script.py").write_text(SCRIPT)
    (path / "history.py").write_text(HISTORY)
    session = Session(pytester)
    assert session.outcomes == {"script": "passed", "history": "passed", "nothing": "failed"}
    assert "LVMCHECK_RUN" in session.text("nothing")
    count = begun(path)
    assert Session(pytester, "-k", "script or test_history").outcomes == {"script": "passed", "history": "passed"}
    assert begun(path) == count


@pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="needs pytest-xdist")
def test_two_processes_train_once(pytester: pytest.Pytester) -> None:
    call = 'training("learner:main", {"lr": 0.05, "epochs": 2})'
    path = prepare(pytester, f"def test_a(training):\n    {call}.check('finite')\n" * 1)
    for name in ("test_b.py", "test_c.py"):
        (path / name).write_text(f"def test_x(training):\n    assert {call}.metric('val_loss').final < 2\n")
    pytester.runpytest_subprocess(*OPTIONS, "-n", "2").assert_outcomes(passed=3)
    assert begun(path) == 1


# -- what is judged ----------------------------------------------------------------------------------------------------
VALUES = {0: 0.875, 1: 0.9375, 2: 1.0}
"""Their mean is a number of binary, its 95 % interval 0.782 to 1.093."""


@pytest.mark.parametrize(
    ("op", "bound", "figure", "status"),
    [
        (">=", 0.9375, Figure.MEAN, Status.PASSED),
        (">", 0.9375, Figure.MEAN, Status.FAILED),
        ("<=", 0.9375, Figure.MEAN, Status.PASSED),
        ("<", 0.9375, Figure.MEAN, Status.FAILED),
        ("==", 0.9375, Figure.MEAN, Status.PASSED),
        (">=", 0.875, Figure.LOWEST, Status.PASSED),
        (">=", 0.88, Figure.LOWEST, Status.FAILED),
        ("<=", 0.99, Figure.HIGHEST, Status.FAILED),
        (">=", 0.8, Figure.LOW, Status.FAILED),
        (">=", 0.78, Figure.LOW, Status.PASSED),
        ("<=", 1.05, Figure.HIGH, Status.FAILED),
    ],
)
def test_figures_of_seeds(op: str, bound: float, figure: Figure, status: Status) -> None:
    outcome = seeds_compared("m", VALUES, op, bound, figure=figure, epochs={0: 3, 1: 3, 2: 3})
    assert outcome.status is status


@pytest.mark.parametrize("op", [">=", ">", "<=", "<", "=="])
@pytest.mark.parametrize("figure", Figure)
def test_nan_of_one_seed_keeps_no_bound(op: str, figure: Figure) -> None:
    outcome = seeds_compared("m", {**VALUES, 1: math.nan}, op, 0.0, figure=figure, epochs={})
    assert outcome.status is Status.FAILED


@pytest.mark.parametrize(("op", "bound"), [("!=", 0.9), (">=", math.nan)])
def test_comparisons_that_say_nothing_are_refused(op: str, bound: float) -> None:
    with pytest.raises(BadValueError):
        seeds_compared("m", VALUES, op, bound, figure=Figure.MEAN, epochs={})


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("trainer", {"trainer": "no_such_module:train"}),
        ("trainer", {"trainer": ["no_such_script.py"]}),
        ("trainer", {"trainer": "python 'unclosed"}),
        ("trainer", {"trainer": []}),
        ("trainer", {"trainer": 3}),
        ("trainer", {"trainer": lambda _config, _rec: None}),
        ("config", {"config": [1]}),
        ("config.lr", {"config": {"lr": math.nan}}),
        ("config.model", {"config": {"model": object()}}),
        ("config.seed", {"config": {"seed": 1}}),
        ("epochs", {"config": {"epochs": 0}}),
        ("seeds", {"seeds": []}),
        ("seeds", {"seeds": [0, 0]}),
        ("seeds", {"seeds": [-1]}),
        ("seeds", {"seeds": 3}),
        ("timeout", {"timeout": 0}),
        ("env", {"env": ["A=1"]}),
    ],
)
def test_bad_input_names_the_call_and_the_key(key: str, asked: dict[str, object], tmp_path: Path) -> None:
    good: dict[str, object] = {"trainer": "json:dumps", "config": {"epochs": 2}, "seeds": [0]}
    called_suite(Wanted(**good), Call(Path("test_x.py"), 7), root=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        called_suite(Wanted(**{**good, **asked}), Call(Path("test_x.py"), 7), root=tmp_path)  # type: ignore[arg-type]
    problem = caught.value
    assert (problem.where, problem.line, (problem.key or "").split("[")[0]) == ("test_x.py", 7, key)


def test_equal_calls_are_one_training(tmp_path: Path) -> None:
    def digest(line: int, **asked: object) -> str:
        wanted = Wanted(**{"trainer": "json:dumps", "config": {"lr": 1, "epochs": 2}, "seeds": [0], **asked})  # type: ignore[arg-type]
        return called_suite(wanted, Call(Path("test_x.py"), line), root=tmp_path).place

    assert digest(1) == digest(9, config={"epochs": 2, "lr": 1}) == digest(1, seeds=[0, 1])
    assert len({digest(1), digest(1, config={"lr": 2}), digest(1, trainer="json:loads"), digest(1, env=["A"])}) == 4
