"""The runs of the seed documents, judged from their figures: the true cause first, and none for the healthy ones."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lvmcheck.causes.protocol import Diagnosis, diagnose
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.protocol import evaluate
from lvmcheck.readers import detect, open_run
from lvmcheck.report.diagnosis import ROWS, WIDTH, screen, screen_json
from lvmcheck.run.view import Run
from lvmcheck.run.weights import recover, with_weights
from suites.recorded.print_diagnose import BLOCK, PAGE, printed

ROOT = Path(__file__).parents[2]
RUNS = sorted((ROOT / "fixtures" / "runs").iterdir())
HISTORIES = ROOT.parent / "shared" / "data" / "histories"
FIRST = {
    "models__amn_232k_20251017_090129": "",
    "models__amn_584k_pure_mse_20251029_055838": "",
    "models__amn_790k_20251030_110346": "hidden_term",
    "models__amn_790k_20251030_154151": "hidden_term",
    "models__amn_790k_production_20251030_123212": "dominant_term",
    "models__lstm_baseline": "memorisation",
    "models__mamba2": "memorisation",
}
WEIGHTS = {
    "models__amn_232k_20251017_090129": ({"mse": 1.0}, ""),
    "models__amn_584k_pure_mse_20251029_055838": ({"mse": 1.0}, ""),
    "models__amn_790k_20251030_110346": ({"mse": 1.0}, "constant"),
    "models__amn_790k_20251030_154151": ({"mse": 1.0}, "constant"),
    "models__amn_790k_production_20251030_123212": ({"mse": 0.5, "info": 0.5}, "constant"),
    "models__lstm_baseline": ({"info": 1.0, "moment": 0.01, "variance": 0.005}, "1 - train cosine"),
    "models__mamba2": ({"info": 1.0, "moment": 0.01, "variance": 0.005}, "1 - train cosine"),
}


def judged(path: Path) -> tuple[Run, list[Verdict], list[Diagnosis]]:
    run = open_run(path)
    verdicts = evaluate(with_weights(run)[0])
    return run, verdicts, diagnose(run, verdicts)


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_runs", ROOT / "fixtures" / "make_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_fixtures_are_what_the_maker_writes(maker: ModuleType) -> None:
    tables: dict[str, Any] = maker.figures()
    assert sorted(tables["run"]) == [path.name for path in RUNS]
    for path in RUNS:
        for name, content in maker.files_of(path.name, tables).items():
            assert (path / name).read_text() == content, f"{path.name}/{name}: run fixtures/make_runs.py"


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_the_verdicts_and_the_first_cause(path: Path) -> None:
    expected = json.loads((path / "expected.json").read_text())
    _, verdicts, found = judged(path)
    assert {verdict.check for verdict in verdicts if verdict.status is Status.FAILED} == set(expected["failed"])
    assert (found[0].name if found else "") == expected["first"], [item.name for item in found]
    assert expected["source"]


def test_both_kinds_of_runs_are_there() -> None:
    firsts = [json.loads((path / "expected.json").read_text())["first"] for path in RUNS]
    assert firsts.count("") >= 15
    assert len(set(firsts) - {""}) >= 8


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_a_diagnosis_is_one_screen_and_valid_json(path: Path) -> None:
    run, verdicts, found = judged(path)
    lines = screen(run, found, verdicts)
    assert len(lines) <= ROWS
    assert max(map(len, lines)) <= WIDTH
    assert not found or any(line.startswith("next: ") for line in lines)
    body = json.loads(json.dumps(screen_json(run, found, verdicts), allow_nan=False))
    assert [cause["name"] for cause in body["causes"]] == [item.name for item in found]


SHOWN = [(name, text) for _, name, text in BLOCK.findall(PAGE.read_text())]


@pytest.mark.parametrize(("name", "text"), SHOWN, ids=[name for name, _ in SHOWN])
def test_the_document_shows_what_is_printed(name: str, text: str) -> None:
    assert printed(name) == text, "python -m suites.recorded.print_diagnose"


def test_the_document_shows_each_attempt_and_each_key() -> None:
    names = {name for name, _ in SHOWN}
    assert {"amn_790k_attempt_1", "amn_790k_attempt_2", "amn_790k_attempt_3_with_its_data"} <= names
    run, verdicts, found = judged(ROOT / "fixtures" / "runs" / "amn_790k_attempt_2")
    body: Any = screen_json(run, found, verdicts)
    text = PAGE.read_text()
    for key in ("format", "causes", "verdicts", *body["run"], *body["causes"][0], *body["verdicts"][0]):
        assert re.search(rf"`(?:\w+(?:\[\])?)?\.?{key}`", text), key


@pytest.mark.parametrize("name", FIRST)
def test_recorded_histories(name: str) -> None:
    path = HISTORIES / f"{name}.json"
    if not path.is_file():
        pytest.skip("the recorded histories are not here (shared/data/histories)")
    assert detect(path) == "training_history"
    run, verdicts, found = judged(path)
    assert (found[0].name if found else "") == FIRST[name]
    healthy = not FIRST[name]
    assert not healthy or not [v for v in verdicts if v.status in (Status.FAILED, Status.ERROR)]
    weights = recover(run)
    assert weights is not None
    assert (dict(weights.weights), weights.like) == WEIGHTS[name]
    if weights.like == "1 - train cosine":  # an MSE of unit vectors is 2 (1 - cosine) / 768: here of weight 0.05
        assert weights.factor == pytest.approx(0.05 * 2 / 768, rel=1e-4)
        assert weights.residual < 1e-8


def test_attempts_1_and_3_are_repeats_of_one_another() -> None:
    """Seed variance was known before the third attempt: at most 0.0024 apart in any epoch, 0.0014 at the end."""
    first, third = (open_run(ROOT / "fixtures" / "runs" / f"amn_790k_attempt_{n}").series("val_cosine") for n in (1, 3))
    apart = abs(first.values - third.values)
    assert apart.max() <= 0.0024
    assert apart[-1] <= 0.0014


def test_diagnosing_a_recorded_run_needs_no_torch() -> None:
    code = (
        "import sys; from lvmcheck.commands.main import main; "
        f"code = main(['diagnose', {str(RUNS[0])!r}]); assert code in (0, 1), code; "
        "assert not {'torch', 'pytest', 'tensorboard', 'wandb', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
