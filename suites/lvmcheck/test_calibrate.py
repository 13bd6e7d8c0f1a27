"""``lvmcheck calibrate``: a number for each kind of bound, and the planted faults that each check catches."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lvmcheck.checks.bounds import BoundKind
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import load_check
from lvmcheck.comparison.calibrate import calibrated
from lvmcheck.comparison.proposed import proposals, shifted, with_value
from lvmcheck.run.view import Run, run_from
from lvmcheck.selftest.planted import planted_runs
from lvmcheck.statistics.seeds import chance_next_above
from lvmcheck.suite import CheckEntry, Suite, load_suite
from lvmcheck.suite.judging import judge_entry
from suites.lvmcheck.plugin_kit.project import Project, floor

FINALS = [0.90, 0.93, 0.91, 0.92]
RATE = 0.01


def entry(check: str, **keys: object) -> CheckEntry:
    return CheckEntry(index=0, params=keys, check=load_check(check)(**keys), line=1, lines={})


def runs() -> list[Run]:
    return [
        run_from({"val_accuracy": [0.3, 0.6, end], "val_loss": [2.0, 1.0, 1 - end], "train_loss": [2.0, 0.9, 1 - end]})
        for end in FINALS
    ]


pytestmark = pytest.mark.own_process  # it sets the directory
KINDS: Mapping[str, tuple[CheckEntry, str, BoundKind]] = {
    "floor": (entry("metric", metric="val_accuracy", at_least=0.5), "at_least", BoundKind.FLOOR),
    "ceiling": (entry("metric", metric="val_loss", at_most=0.5), "at_most", BoundKind.CEILING),
    "expression": (entry("metric", metric="val_loss", at_most="train_loss + 0.5"), "at_most", BoundKind.CEILING),
    "abort": (entry("metric", metric="val_accuracy", at_least=0.8, abort_below=0.5), "abort_below", BoundKind.ABORT),
    "gain": (entry("improves", metric="val_accuracy", by_epoch=3, min_gain=0.1), "min_gain", BoundKind.FLOOR),
    "range": (entry("plausible_range", metric="val_accuracy", at_least=0.1), "at_least", BoundKind.FLOOR),
    "band": (
        entry("metric", metric="val_accuracy", at_least=0.1, at_most=0.99, epoch="every"),
        "at_most",
        BoundKind.CEILING,
    ),
}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(pytester)
    monkeypatch.chdir(made.path)
    monkeypatch.syspath_prepend(str(made.path))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_is_proposed_for_each_kind_of_bound(kind: str) -> None:
    asked, key, bound = KINDS[kind]
    found = {item.key: item for item in proposals(asked, runs(), RATE)}
    assert found[key].kind is bound
    assert type(found[key].value) is type(asked.params[key])
    changed = with_value(asked, list(found.values()))
    outcomes = [judge_entry(changed, run) for run in runs()]
    assert all(outcome.status is Status.PASSED for outcome in outcomes)
    margins = [outcome.finding.margin for outcome in outcomes if outcome.finding is not None]
    known = [margin for margin in margins if margin is not None]
    if bound is not BoundKind.ABORT and len(set(known)) > 1 and kind not in ("range", "band"):
        assert 1 - chance_next_above(known, 0.0) == pytest.approx(RATE, rel=0.05)


def test_nothing_is_proposed_where_no_key_of_the_suite_sets_a_bound() -> None:
    assert list(proposals(entry("finite"), runs(), RATE)) == []
    assert list(proposals(entry("metric", metric="nothing", at_least=0.5), runs(), RATE)) == []


def test_an_abort_bound_lies_beyond_its_floor() -> None:
    found = {item.key: item.value for item in proposals(KINDS["abort"][0], runs(), RATE)}
    assert float(found["abort_below"]) < float(found["at_least"]) < min(FINALS)


@pytest.mark.parametrize(
    ("now", "step", "expected"),
    [("b - 0.25", 0.5, "b + 0.25"), ("2 * a", -0.5, "2 * a - 0.5"), (1.0, 0.5, 1.5), ("a + 1e-3", 0.0, "a + 0.001")],
)
def test_an_expression_is_moved_by_its_last_number(now: float | str, step: float, expected: float | str) -> None:
    assert shifted(now, step) == expected


def test_what_each_check_catches_is_named(project: Project) -> None:
    """One fault is trained in the suite's own trainer and kept; those of the record need no training."""
    project.suite(floor("final", 0.55), '[[check]]\ncheck = "finite"\n')
    suite = load_suite(project.suite_file)
    sound = [_toy(suite, seed) for seed in range(3)]
    told: list[str] = []
    for times in (1, 0):  # trained, then found again
        planted = planted_runs(
            suite, sound[0], project.path / "h", minutes=times, only=["no_update"], jobs=1, tell=told.append
        )
    assert "metric_constant" in planted
    assert told  # it is tried once, whether it takes effect or not
    assert [path.parent.name for path in (project.path / "h").glob("faults/*/*/*/run.json")] == ["no_update"]
    low = run_from({"val_cosine": [0.1, 0.1, 0.1, 0.1]})
    lines = list(calibrated(suite, sound, {"low": low, **planted}, RATE))
    (said,) = [line for line in lines if line.startswith("cosine_floor")]
    assert "low" in said.partition("catches ")[2]
    assert any(line.startswith("    floor = ") for line in lines)
    assert "low" not in lines[-1]


def _toy(suite: Suite, seed: int) -> Run:
    run = run_from({"val_cosine": [0.5, 0.55, 0.58, 0.6 + seed / 1000]})
    return Run(events=run.events, info={**run.info, "seed": seed, "config": dict(suite.config)}, done=run.done)
