"""run.data: what it accepts, and the sentence each mistake gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.errors import InputError
from models.data.config import PathConfig, TextConfig, TwinConfig, input_files, parse_data_config, validate_data_config

ROOT = Path(__file__).resolve().parents[2]


def test_defaults_and_types_of_each_source() -> None:
    assert parse_data_config({}) == TwinConfig()
    assert parse_data_config({"source": "text", "context": 3}) == TextConfig(context=3)
    assert parse_data_config({"path": "x.npz", "ood": ["y.npz"]}) == PathConfig("x.npz", ood=("y.npz",))
    parsed = parse_data_config({"source": "twin", "broken": ["nan"], "sequences": 12})
    assert parsed == TwinConfig(sequences=12, broken=("nan",))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"source": "twn"}, "run.data.source: unknown source 'twn'. Did you mean 'twin'?"),
        ({"sequence": 3}, "run.data.sequence: unknown key for source 'twin'. Did you mean 'sequences'?"),
        ({"source": "text", "path": "x"}, "run.data.path: unknown key for source 'text'. Known: "),
        ({"recipe": "wiki_584"}, "run.data.recipe: unknown name 'wiki_584'. Did you mean 'wiki_584k'?"),
        (
            {"path": "x", "split": "by_articles"},
            "run.data.split: unknown name 'by_articles'. Did you mean 'by_article'?",
        ),
        ({"broken": ["scrambeld"]}, "run.data.broken: unknown name 'scrambeld'. Did you mean 'scrambled'?"),
        ({"broken": "nan"}, "run.data.broken: expected a list of strings, got 'nan'."),
        ({"sequences": True}, "run.data.sequences: expected an integer from 1 to 100000000, got True."),
        ({"sequences": 0}, "run.data.sequences: expected an integer from 1 to 100000000, got 0."),
        ({"sequences": 2.0}, "run.data.sequences: expected an integer from 1 to 100000000, got 2.0."),
        ({"context": 513}, "run.data.context: expected an integer from 1 to 512, got 513."),
        ({"fresh": 1}, "run.data.fresh: expected true or false, got 1."),
        ({"dtype": "float3"}, "run.data.dtype: unknown name 'float3'. Did you mean 'float32'?"),
        ({"dim": 20}, "run.data.dim: expected 0 or at least 49"),
        (
            {"path": "x", "val_fraction": 0.9},
            "run.data.val_fraction: expected a fraction above 0 and at most 0.5, got 0.9.",
        ),
        ({"path": "x", "val_fraction": float("nan")}, "run.data.val_fraction: expected a fraction"),
        ({"source": "path"}, "run.data.path: missing: source 'path' needs the place of the vectors."),
        ({"path": 3}, "run.data.path: expected a string, got 3."),
    ],
)
def test_each_mistake_names_key_value_and_remedy(config: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_data_config(config, where="suite.toml")
    assert str(caught.value).startswith(f"suite.toml: {said}")
    assert "\n" not in str(caught.value)


def test_input_files_are_what_decides_the_data(tmp_path: Path) -> None:
    assert input_files({"source": "twin"}) == []
    assert [path.name for path in input_files({"source": "text"})] == ["topics.py"]
    assert input_files({"source": "text"})[0].is_file()
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("vectors.npy", "article.npy", "texts.jsonl.gz"):
        (folder / name).touch()
    missing = tmp_path / "missing.npz"
    found = input_files({"path": str(folder), "ood": [str(missing)]})
    assert found == sorted([folder / "article.npy", folder / "vectors.npy", missing])
    beside = input_files({"path": str(missing), "texts": str(folder), "reference": "", "golden": str(tmp_path / "g")})
    assert {path.name for path in beside} == {"missing.npz", "vectors.npy", "article.npy", "texts.jsonl.gz", "g"}


def test_checking_a_configuration_imports_neither_numpy_nor_torch() -> None:
    code = (
        "import sys; from models.data.config import input_files, validate_data_config;"
        "validate_data_config({'sequences': 5}); input_files({'path': 'x'});"
        "sys.exit(bool({'numpy', 'torch', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
