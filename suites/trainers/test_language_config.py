"""The [run] table of the language trainer: every mistake is one sentence, and no torch is needed to say it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.errors import InputError
from models.terms import LANGUAGE_TERMS
from models.trainers.language_config import METRICS, data_at, input_files, parse, resolve, validate

GOOD: dict[str, Any] = {
    "model": {"kind": "cognate", "d_model": 64},
    "data": {"source": "generated", "sets": ["arithmetic", "recall"]},
    "loss": {"ce": 1.0, "ponder": 0.01},
    "epochs": 3,
}
STAGE = {"name": "sums", "epochs": 3, "sets": ["arithmetic"]}


def test_the_terms_are_those_of_the_objective() -> None:
    assert {f"train_{name}" for name in LANGUAGE_TERMS if name != "ce"} < set(METRICS)


def test_rates_come_from_the_preset_and_are_recorded_as_they_are_used() -> None:
    cfg = parse(GOOD)
    assert (cfg.lr, cfg.muon_lr, cfg.optimizer["grokfast_lambda"]) == (1e-3, 1e-3, 0.3)
    assert parse({**GOOD, "lr": 2e-3}).lr == 2e-3
    assert parse({**GOOD, "optimizer": {"kind": "adamw", "lr": 3e-3}}).lr == 3e-3
    assert resolve(resolve(GOOD)) == resolve(GOOD)


def test_without_a_curriculum_there_is_one_stage_of_everything() -> None:
    assert [(stage.name, stage.epochs, stage.sets) for stage in parse(GOOD).stages] == [("all", 3, None)]


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"loss": {"ce": 1.0, "pondr": 0.1}}, "loss.pondr", "no such loss term. Did you mean 'ponder'?"),
        ({"loss": {"ponder": 0.1}}, "loss.ce", "expected a weight above 0"),
        ({"loss": {"ce": -1.0}}, "loss.ce", "expected at least 0, got -1.0"),
        ({"model": {"kind": "amn"}}, "model.kind", "no such model 'amn'. Known: cognate."),
        ({"model": {"kind": "cognate", "d_modl": 4}}, "model.d_modl", "Did you mean 'd_model'?"),
        ({"model": {"kind": "cognate", "specialisation": 3}}, "model.specialisation", "expected str, got int 3"),
        ({"data": {"source": "generatd"}}, "data.source", "Did you mean 'generated'?"),
        ({"data": {"source": "generated", "sets": ["arithmetics"]}}, "data.sets", "Did you mean 'arithmetic'?"),
        (
            {"curriculum": [{**STAGE, "epochs": 2}]},
            "epochs",
            "expected 2, the sum of the stages of the curriculum, got 3",
        ),
        ({"curriculum": [{**STAGE, "sets": ["code"]}]}, "curriculum", "no such data set 'code' here"),
        ({"curriculum": [{**STAGE, "epoch": 3}]}, "curriculum.0.epoch", "unknown key. Did you mean 'epochs'?"),
        ({"curriculum": [{**STAGE, "epochs": 0}]}, "curriculum.0.epochs", "expected at least 1, got 0"),
        (
            {"curriculum": [{**STAGE, "epochs": 1}, {**STAGE, "epochs": 2}]},
            "curriculum",
            "two stages are called 'sums'",
        ),
        ({"curriculum": "sums"}, "curriculum", "expected a list, got string 'sums'"),
        ({"early_stop": {"patience": 0}}, "early_stop.patience", "expected at least 1, got 0"),
        ({"early_stop": {"patience": 1, "min_delt": 0.1}}, "early_stop.min_delt", "Did you mean 'min_delta'?"),
        ({"generation": {"top_p": 0.0}}, "generation.top_p", "expected more than 0, got 0.0"),
        ({"precision": "bf61"}, "precision", "got string 'bf61'. Did you mean 'bf16'?"),
        ({"optimizer": {"preset": "phase2"}}, "optimizer.preset", "no such preset 'phase2'. Did you mean 'phase1'?"),
        (
            {"optimizer": {"lr": 1e-3}, "lr": 2e-3},
            "optimizer.lr",
            "expected lr once, got 0.002 in [run] and 0.001 here",
        ),
        ({"ema": 1.0}, "ema", "expected less than 1, got 1.0"),
        ({"accumulation": 0}, "accumulation", "expected at least 1, got 0"),
        ({"batchsize": 3}, "batchsize", "unknown key. Did you mean 'batch_size'?"),
    ],
)
def test_mistakes(change: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        validate({**GOOD, **change})
    assert caught.value.key == key
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_of_the_persons_own_replace_the_suites_stages(tmp_path: Path) -> None:
    (tmp_path / "gsm8k.jsonl.gz").touch()
    own = {"source": "generated", "sets": ["arithmetic"], "length": 96, "records": 4000}
    changed = data_at(tmp_path, {"data": own, "batch_size": 16})
    sized = {"length": 256, "vocabulary": 2048, "limit": 400}
    assert changed == {"data": {"source": "qa", "path": str(tmp_path), **sized}, "curriculum": [], "batch_size": 6}
    other = tmp_path / "own.jsonl"
    real = {"source": "qa", "path": "qa", "sets": ["gsm8k"], "length": 96}
    assert data_at(other, {"data": real})["data"] == {"source": "jsonl", "path": str(other), "length": 96}
    asked = {**GOOD, **changed}
    validate(asked)
    assert tmp_path / "gsm8k.jsonl.gz" in input_files(resolve(asked))


def test_checking_needs_no_torch() -> None:
    code = (
        "import sys; from models.trainers.language_config import resolve\n"
        f"resolve({GOOD!r})\n"
        "assert 'torch' not in sys.modules and 'tokenizers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, timeout=180)
