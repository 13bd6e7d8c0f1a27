"""run.data of a language run: what it accepts, the sentence each mistake gets, and which files decide the data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.errors import InputError
from models.data.text.config import TextConfig, parse_text_config, text_inputs

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"source": "generatd"},
            'run.data.source: expected "generated", "qa", "hub" or "jsonl", '
            "got string 'generatd'. Did you mean 'generated'?",
        ),
        ({"lenght": 3}, "run.data.lenght: unknown key. Did you mean 'length'?"),
        ({"sets": ["arithmetics"]}, "run.data.sets: unknown set 'arithmetics' for source 'generated'. Did you mean"),
        ({"source": "qa", "path": "x", "sets": ["gsm8"]}, "run.data.sets: unknown set 'gsm8' for source 'qa'. Did you"),
        ({"sets": ["code", "code"]}, "run.data.sets: set 'code' is named twice."),
        ({"sets": "code"}, "run.data.sets: expected a list of strings, got string 'code'."),
        ({"source": "qa"}, "run.data.path: missing: source 'qa' needs the folder that holds the sets."),
        ({"source": "jsonl"}, "run.data.path: missing: source 'jsonl' needs the file of the records."),
        ({"path": "x"}, "run.data.path: has no effect with source 'generated'. It belongs to source 'qa' or 'jsonl'."),
        ({"source": "hub", "digits": 1}, "run.data.digits: has no effect with source 'hub'. It belongs to source 'gen"),
        ({"records": 0}, "run.data.records: expected at least 1, got 0."),
        ({"records": True}, "run.data.records: expected an integer, got true."),
        ({"records": 2.0}, "run.data.records: expected an integer, got 2.0."),
        ({"max_share": float("nan")}, "run.data.max_share: expected a finite number, got nan."),
        ({"vocabulary": 100}, "run.data.vocabulary: expected at least 258, got 100."),
        ({"operators": "+/"}, "run.data.operators: expected some of '+-*', each once, got '+/'."),
        ({"operators": "++"}, "run.data.operators: expected some of '+-*', each once, got '++'."),
        (
            {"mix": "balance"},
            "run.data.mix: expected \"balanced\" or \"natural\", got string 'balance'. Did you mean 'balanced'?",
        ),
    ],
)
def test_each_mistake_names_key_value_and_remedy(config: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_text_config(config, where="suite.toml")
    assert str(caught.value).startswith(f"suite.toml: {said}")
    assert "\n" not in str(caught.value)


def test_defaults_need_no_file() -> None:
    assert parse_text_config({}) == TextConfig()
    assert text_inputs({}) == []


def test_input_files_are_what_decides_the_data(tmp_path: Path) -> None:
    for name in ("gsm8k.jsonl.gz", "svamp.jsonl", "notes.txt"):
        (tmp_path / name).touch()
    folder = str(tmp_path)
    named = [path.name for path in text_inputs({"source": "qa", "path": folder, "sets": ["gsm8k"]})]
    assert named == ["gsm8k.jsonl.gz"]
    assert [path.name for path in text_inputs({"source": "jsonl", "path": folder})] == ["gsm8k.jsonl.gz", "svamp.jsonl"]
    missing = tmp_path / "own.jsonl"
    assert text_inputs({"source": "jsonl", "path": str(missing)}) == [missing]
    absent = text_inputs({"source": "qa", "path": folder, "sets": ["mbpp", "svamp"]})
    assert [path.name for path in absent] == ["mbpp.jsonl", "svamp.jsonl"]
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).touch()
    gpt2 = text_inputs({"tokenizer": folder})
    assert [path.name for path in gpt2] == ["merges.txt", "vocab.json"]
    assert text_inputs({"tokenizer": str(missing)}) == [missing]


def test_checking_a_suite_imports_neither_torch_nor_tokenizers() -> None:
    code = (
        "import sys; from models.data.text.config import parse_text_config as v; v({}); "
        "print([n for n in ('torch', 'tokenizers', 'numpy', 'pyarrow', 'datasets') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
