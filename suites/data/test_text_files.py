"""Files of questions from outside: plain, gzip and parquet; published forms; and every damage named with its line."""

from __future__ import annotations

import gzip
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.errors import InputError
from models.data.text import files
from models.data.text.config import parse_text_config
from models.data.text.dataset import open_text
from models.data.text.rows import record_of
from models.data.text.sources import read_set, read_sets

ROWS = [{"question": f"Where is place {n}?", "answer": f"In region {n}.", "split": "train"} for n in range(40)]
HELD = [{"question": f"Where is town {n}?", "answer": f"In region {n}.", "split": "test"} for n in range(9)]
needs_pyarrow = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow")


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@pytest.mark.parametrize("name", ["gsm8k.jsonl", "gsm8k.jsonl.gz", pytest.param("gsm8k.parquet", marks=needs_pyarrow)])
def test_every_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    rows = ROWS + HELD
    if name.endswith("parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        jsonl(tmp_path / name, rows)
    records = read_set(tmp_path, "gsm8k")
    assert [record.answer for record in records] == [row["answer"] for row in rows]
    data = open_text({"source": "qa", "path": str(tmp_path), "sets": ["gsm8k"], "tokenizer": "bytes"}, seed=0)
    assert (len(data.train), len(data.held)) == (40, 9)
    assert data.facts()["val_overlap"] == 0.0


PUBLISHED: list[tuple[str, dict[str, Any], str, str, str, float]] = [
    (
        "gsm8k",
        {"question": "How many?", "answer": "1 + 1 = <<1+1=2>>2\n2 * 3 = <<2*3=6>>6\n#### 6"},
        "How many?",
        "1 + 1 = <<1+1=2>>2\n2 * 3 = <<2*3=6>>6\n#### 6",
        "6",
        2,
    ),
    (
        "svamp",
        {"ID": "c1", "Body": "Dan had 3", "Question": "How many?", "Answer": "1.0", "Equation": "( 4.0 - 3.0 )"},
        "Dan had 3. How many?",
        "1",
        "1",
        1,
    ),
    ("mbpp", {"task_id": 3, "text": "Write f.", "code": "def f():\r\n  return 1\n"}, "Write f.", "def f():\n  return 1",
     "def f():\n  return 1", 2),
    (
        "arc_easy",
        {"question": "Which one?", "choices": {"text": ["no", "yes"], "label": ["A", "B"]}, "answerKey": "B"},
        "Which one?",
        "yes",
        "yes",
        2,
    ),
    (
        "hellaswag",
        {"ind": 4, "activity_label": "Roof", "ctx": "A man sits. he", "endings": ["falls.", "stands."], "label": "1"},
        "Roof: A man sits. he",
        "stands.",
        "stands.",
        5,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "question", "answer", "final", "difficulty"), PUBLISHED)
def test_rows_in_their_published_form(
    name: str, row: dict[str, Any], question: str, answer: str, final: str, difficulty: float
) -> None:
    record = record_of(name, row, "hub", 1)
    assert (record.question, record.answer, record.final, record.difficulty) == (question, answer, final, difficulty)


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("svamp", {"Body": None, "Question": "How many?", "Answer": 1.0}, "question: expected text, got None"),
        ("svamp", {"Body": "Dan had 3.", "Question": "How many?", "Answer": None}, "answer: expected text, got None"),
        (
            "svamp",
            {"Body": "Dan had 3.", "Question": "How many?", "Answer": math.nan},
            "answer: expected text, got nan",
        ),
        ("hellaswag", {"ctx": None, "endings": ["a"], "label": "0"}, "question: expected text, got None"),
        ("hellaswag", {"ctx": "A man", "endings": ["a"], "label": ""}, "answer: expected text, got None"),
        ("hellaswag", {"ctx": "A man", "endings": ["a"], "label": 4}, "answer: expected text, got None"),
        ("arc_easy", {"question": "Q?", "choices": {}, "answerKey": "A"}, "answer: expected text, got None"),
        ("own", {"question": "Q?", "answer": math.nan}, "answer: expected text, got nan"),
    ],
)
def test_a_missing_field_is_never_the_word_none(name: str, row: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"file:7: {said}"):
        record_of(name, row, "file", 7)


def test_hellaswag_is_a_continuation() -> None:
    record = record_of("hellaswag", PUBLISHED[4][1], "hub", 1)
    assert record.text == "Roof: A man sits. he stands."
    assert record_of("arc_easy", PUBLISHED[3][1], "hub", 1).text == "Q: Which one?\nA: yes"


BAD: list[tuple[bytes, str]] = [
    (b"{", ":2: not a JSON object: "),
    (b"[1]", r":2: expected {\"question\": ..., \"answer\": ...}, got list"),
    (b'{"question": "q", "answer": NaN}', ":2: not a JSON object: NaN is not JSON"),
    (b'{"question": "q"}', ":2: answer: missing; the record has question. "),
    (b'{"qestion": "q", "answer": "a"}', ":2: question: missing; .* Did you mean 'qestion'"),
    (b'{"question": "q", "answer": "  "}', ":2: answer: expected text, got '  '"),
    (b'{"question": 3, "answer": "a"}', ":2: question: expected text, got 3"),
    (b'{"question": "q", "answer": null}', ":2: answer: expected text, got None"),
    (b'{"question": "q", "answer": true}', ":2: answer: expected text, got True"),
    (b'{"question": "\\ud800", "answer": "a"}', ":2: question: half a surrogate pair at character 0"),
    (b'{"question": "q", "answer": "a", "dataset": 4}', ":2: dataset: expected a name of 1 to 64 characters, got 4"),
    (b"[" * 100_000, ":2: not a JSON object: nested too deep"),
    (b'{"question": "\xff", "answer": "a"}', ":2: not a JSON object: "),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=map(str, range(len(BAD))))
def test_a_bad_line_is_named_with_file_and_number(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(json.dumps(ROWS[0]).encode() + b"\n" + line + b"\n")
    with pytest.raises(InputError, match=rf"own\.jsonl{said}") as caught:
        read_sets(parse_text_config({"source": "jsonl", "path": str(path)}))
    assert "\n" not in str(caught.value)


def test_wrong_and_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl.gz"

    def said(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_sets(parse_text_config({"source": "jsonl", "path": str(path)}))
        return str(caught.value)

    whole = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in ROWS))
    assert "damaged or truncated gzip" in said(whole[:-20])
    assert "damaged or truncated gzip" in said(whole[:40] + b"\0\0\0\0" + whole[44:])
    assert "expected JSON, got an empty file" in said(b"")
    assert "expected JSON, got a pickle" in said(b"\x80\x04\x95abc")
    assert "a git-lfs pointer" in said(b"version https://git-lfs.github.com/spec/v1\n")
    assert "got an HTML page" in said(b"<!DOCTYPE html><html>")
    assert "holds no records; expected at least one question with its answer" in said(gzip.compress(b"\n \n"))
    if importlib.util.find_spec("pyarrow"):
        assert "damaged or truncated parquet" in said(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="not found"):
        read_sets(parse_text_config({"source": "jsonl", "path": str(tmp_path / "no.jsonl")}))


def test_bombs_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.jsonl.gz"
    config = parse_text_config({"source": "jsonl", "path": str(path)})
    path.write_bytes(gzip.compress(b'{"question": "' + b"a" * 2**25))
    with pytest.raises(InputError, match=r"own.jsonl.gz:1: line of more than 1,048,576 bytes"):
        read_sets(config)
    line = json.dumps({"question": "q", "answer": "a" * 1000}).encode() + b"\n"
    path.write_bytes(gzip.compress(line * 300))
    monkeypatch.setattr(files, "TOTAL_LIMIT", 100_000)
    with pytest.raises(InputError, match=r"own.jsonl.gz:\d+: more than 100,000 bytes or 2,000,000 lines unpacked"):
        read_sets(config)


def test_a_missing_set_is_named_with_what_is_there(tmp_path: Path) -> None:
    jsonl(tmp_path / "gsm8k.jsonl", ROWS)
    jsonl(tmp_path / "svamp.jsonl.gz", ROWS)
    config = parse_text_config({"source": "qa", "path": str(tmp_path), "sets": ["gsm8k", "mbpp"]})
    said = r"'mbpp' is missing: none of mbpp\.jsonl, .* is here; the folder holds gsm8k, svamp\. Add the file"
    with pytest.raises(InputError, match=said):
        read_sets(config)
    with pytest.raises(InputError, match=r"not found; expected a folder with gsm8k.jsonl"):
        read_set(tmp_path / "nowhere", "gsm8k")
    with pytest.raises(InputError, match=r"not a folder; expected a folder with gsm8k.jsonl"):
        read_set(tmp_path / "gsm8k.jsonl", "gsm8k")


def test_own_files_by_name_or_by_field(tmp_path: Path) -> None:
    jsonl(tmp_path / "towns.jsonl", ROWS)
    jsonl(tmp_path / "mixed.jsonl", [{**row, "dataset": "lakes"} for row in HELD] + ROWS[:1])
    base = {"source": "jsonl", "path": str(tmp_path)}
    found = {record.dataset for record in read_sets(parse_text_config(base))}
    assert found == {"towns", "lakes", "mixed"}
    named = read_sets(parse_text_config({**base, "sets": ["lakes"]}))
    assert len(named) == len(HELD)
    with pytest.raises(
        InputError, match=r"data set 'lake' is missing; the files hold lakes, mixed, towns. Did you mean"
    ):
        read_sets(parse_text_config({**base, "sets": ["lake"]}))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"holds no file that ends in .jsonl, .jsonl.gz, .parquet"):
        read_sets(parse_text_config({"source": "jsonl", "path": str(empty)}))


def test_the_hub_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    said = "data set 'gsm8k': source 'hub' needs the library datasets, which is not installed. Run pip install"
    with pytest.raises(InputError, match=said):
        open_text({"source": "hub"}, seed=0)


HUB_CODE = """
import os
from models.data.text import hub
from models.data.text.sources import read_sets
from models.data.text.config import parse_text_config
hub.HUB["gsm8k"] = (os.getcwd(), None, ("train", "test"))
records = read_sets(parse_text_config({"source": "hub", "sets": ["gsm8k"]}))
print(*(f"{each.split} {each.answer}" for each in records), sep="\\n")
"""


@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason='needs pip install "lvmcheck[hf]"')
def test_the_hubs_library_gives_records_with_their_split(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The real library on a local repository: files of both splits, as it would have fetched them."""
    tmp_path = tmp_path_factory.mktemp("corpus")  # the library takes splits from paths, and tmp_path begins with test_
    jsonl(tmp_path / "train.jsonl", [{"question": row["question"], "answer": row["answer"]} for row in ROWS])
    jsonl(tmp_path / "test.jsonl", [{"question": row["question"], "answer": row["answer"]} for row in HELD])
    env = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ran = subprocess.run([sys.executable, "-c", HUB_CODE], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [f"{row['split']} {row['answer']}" for row in ROWS + HELD]
