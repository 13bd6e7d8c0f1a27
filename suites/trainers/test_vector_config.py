"""The [run] table of the vector trainer: every mistake is one sentence, and no torch is needed to say it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from models.losses import LOSSES
from models.terms import TERMS
from models.trainers.vector_config import METRICS, Config, input_files, parse, validate

GOOD: dict[str, Any] = {
    "model": {"kind": "amn", "d_model": 256},
    "data": {"source": "twin", "recipe": "wiki_584k"},
    "loss": {"mse": 1.0},
    "epochs": 20,
}


def test_the_seeds_recipe_is_the_default() -> None:
    cfg = parse(GOOD)
    assert (cfg.batch_size, cfg.lr, cfg.weight_decay, cfg.clip_norm, cfg.tau) == (32, 5e-4, 0.01, 1.0, 0.07)
    assert cfg.schedule == "plateau"


def test_integers_are_numbers_and_zero_weights_are_allowed_beside_others() -> None:
    cfg = parse({**GOOD, "loss": {"mse": 1, "info_nce": 0}, "lr": 1})
    assert cfg.loss == {"mse": 1.0, "info_nce": 0.0}


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"loss": {"inf_nce": 1.0}}, "loss.inf_nce", "no such loss term. Did you mean 'info_nce'?"),
        ({"loss": {"mse": 0.0}}, "loss", "expected at least one loss term with a weight above 0, got none"),
        ({"loss": {}}, "loss", "expected at least one loss term with a weight above 0, got none"),
        ({"loss": {"mse": -1.0}}, "loss.mse", "expected at least 0, got -1.0"),
        ({"loss": {"mse": float("inf")}}, "loss.mse", "expected a finite number, got inf"),
        ({"loss": {"mse": "1"}}, "loss.mse", "expected a number, got string '1'"),
        ({"loss": 3}, "loss", "expected a table of numbers, got 3"),
        ({"epochs": "20"}, "epochs", "expected an integer, got string '20'"),
        ({"epochs": True}, "epochs", "expected an integer, got true"),
        ({"epochs": 0}, "epochs", "expected at least 1, got 0"),
        ({"epochs": 2.0}, "epochs", "expected an integer, got 2.0"),
        ({"batch_size": 0}, "batch_size", "expected at least 1, got 0"),
        ({"lr": 0.0}, "lr", "expected more than 0, got 0.0"),
        ({"lr": float("nan")}, "lr", "expected a finite number, got nan"),
        ({"lr": "5e-4"}, "lr", "expected a number, got string '5e-4'"),
        ({"clip_norm": None}, "clip_norm", "expected a number, got None"),
        ({"epoch": 3}, "epoch", "unknown key. Did you mean 'epochs'?"),
        ({"device": "cuba"}, "device", "got string 'cuba'. Did you mean 'cuda'?"),
        ({"schedule": "cosin"}, "schedule", "got string 'cosin'. Did you mean 'cosine'?"),
        ({"lr_min": 1e-6}, "lr_min", "only the cosine schedule has it, got schedule 'plateau'"),
        ({"schedule": "cosine", "lr_min": 1.0}, "lr_min", "expected at most lr = 0.0005, got 1"),
        ({"warmup_steps": 5}, "warmup_steps", "the plateau schedule has no warm-up"),
        ({"model": {"kind": "amm"}}, "model.kind", "no such model 'amm'. Did you mean 'amn'?"),
        ({"model": {}}, "model.kind", "expected the name of a model"),
        ({"model": {"kind": "amn", "d_modl": 4}}, "model.d_modl", "no such parameter. Did you mean 'd_model'?"),
        ({"model": {"kind": "amn", "d_model": "4"}}, "model.d_model", "expected int, got str '4'"),
        ({"data": {"source": "twim"}}, "data.source", "Did you mean 'twin'?"),
        ({"data": {"source": "twin", "recipes": "x"}}, "data.recipes", "Did you mean 'recipe'?"),
    ],
)
def test_mistakes(change: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        validate({**GOOD, **change})
    assert caught.value.key == key
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["model", "data", "loss", "epochs"])
def test_missing_keys(key: str) -> None:
    with pytest.raises(InputError, match=f"{key}: missing, expected a"):
        parse({name: value for name, value in GOOD.items() if name != key})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def refusal(config: dict[str, Any]) -> InputError | None:
    try:
        parse(config)
    except InputError as error:
        return error
    return None


@given(key=st.sampled_from([*Config.model_fields, "nonsense"]), value=plain)
@settings(max_examples=150, deadline=None)
def test_any_value_anywhere_is_accepted_or_refused_in_our_words(key: str, value: object) -> None:
    error = refusal({**GOOD, key: value})
    assert error is None or error.key is not None
    assert error is None or ("\n" not in str(error) and "pydantic" not in str(error).lower())


def test_names_agree_with_what_exists() -> None:
    assert tuple(LOSSES) == TERMS
    assert {f"train_loss_{term}" for term in TERMS} <= set(METRICS)
    assert len(METRICS) == len(set(METRICS))


def test_the_twin_reads_no_file_and_a_path_reads_its_own(tmp_path: Path) -> None:
    assert input_files(GOOD) == []
    place = tmp_path / "vectors.npy"
    place.write_bytes(b"x")
    assert input_files({**GOOD, "data": {"source": "path", "path": str(place)}}) == [place]


def test_checking_a_config_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from models.trainers.vector_config import validate\n"
        f"validate({GOOD!r})\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, timeout=180)
