"""Parquet and JSON Lines: the same corpus comes out, and each mistake is named with its row or line."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lvmcheck.checks.finding import Status
from lvmcheck.commands.gate.measure import gate_data
from lvmcheck.errors import InputError
from models.data.dataset import open_data
from models.data.readers import loaded as loaded_module
from models.data.stored import read


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, list[str]]:
    vectors = np.random.default_rng(4).standard_normal((60, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors, [f"article {row // 12}" for row in range(60)]


def write_jsonl(path: Path, vectors: np.ndarray, articles: list[Any]) -> Path:
    rows = zip(vectors.tolist(), articles, strict=True)
    path.write_text("".join(json.dumps({"vector": v, "article": a, "text": "kept out"}) + "\n" for v, a in rows))
    return path


def error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path, 5)
    assert "\n" not in str(caught.value)
    return str(caught.value)[len(str(path)) :].removeprefix(": ")


def test_jsonl_round_trip(tmp_path: Path, table: tuple[np.ndarray, list[str]]) -> None:
    path = write_jsonl(tmp_path / "v.jsonl", *table)
    loaded = read(path, 5)
    np.testing.assert_array_equal(loaded.windows.corpus.vectors, table[0])
    assert len(loaded.windows) == 5 * 7
    dataset = open_data({"path": str(path), "val_fraction": 0.2}, seed=0)
    assert (dataset.split, len(dataset.validation)) == ("by_article", 7)


GOOD = '{"vector": [0.6, 0.8], "article": 1}\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{nonsense\n", ":2: not a JSON object: "),
        ("[" * 100_000 + "\n", ":2: not a JSON object: nested too deep."),
        ("[1, 2]\n", ':2: expected {"vector": [...], "article": ...}, got list.'),
        (
            '{"vectr": [1, 0], "article": 1}\n',
            ":2: vector: missing; the line has vectr, article. Did you mean 'vectr'?",
        ),
        ('{"vector": [0.6, NaN], "article": 1}\n', ":2: not a JSON object: NaN is not JSON; expected finite numbers."),
        ('{"vector": [0.6, "a"], "article": 1}\n', ":2: vector: expected numbers, got 'a' at dim 1."),
        ('{"vector": [0.6, true], "article": 1}\n', ":2: vector: expected numbers, got True at dim 1."),
        ('{"vector": "x", "article": 1}\n', ":2: vector: expected a list of 2 to 16384 numbers."),
        ('{"vector": [0.6, 0.8, 0], "article": 1}\n', ":2: vector: 3 dimensions; expected 2, as in the line before."),
        ('{"vector": [0.6, 0.8], "article": 1.5}\n', ":2: article: expected an integer, a string or null, got 1.5."),
        ('{"vector": [0.6, %s], "article": 1}\n' % ("9" * 400), ":2: vector: a number too large for a float."),
        ('{"vector": [0.6, 1e400], "article": 1}\n', "vector: 1 NaN or infinite values, first at [row 1, dim 1]; "),
        ('{"vector": [0, 0], "article": 1}\n', "vector: 1 of 2 vectors are zero, first at [row 1]; "),
        ('{"vector": [0.6, 0.8], "article": "a"}\n', "article: article ids of types int, str; expected one."),
        ('{"vector": [0.6, 0.8], "article": 1}' + " " * 2**20, ":2: line of more than 1048576 bytes."),
        ("\n", "no article is long enough: the longest has 1 chunk, context 5 and its target need 6."),
    ],
)
def test_jsonl_mistakes_name_the_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text(GOOD + line)
    assert error(path).startswith(said)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("ids", ["strings", "integers"])
def test_rows_without_an_id_are_the_null_group(
    tmp_path: Path, table: tuple[np.ndarray, list[str]], kind: str, ids: str
) -> None:
    """They are read, so that they can be gated; nothing invents an article for them."""
    names: list[Any] = [int(name[-1]) for name in table[1]] if ids == "integers" else list(table[1])
    names[24:] = [None] * 36
    path = tmp_path / f"v.{kind}"
    if kind == "jsonl":
        write_jsonl(path, table[0], names)
    else:
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(
            pa.table({"vector": table[0].tolist(), "article": names}), path
        )
    article = read(path, 5).windows.corpus.article
    expected = [0] * 12 + [1] * 12 + [-1] * 36
    np.testing.assert_array_equal(article, expected)
    run, verdicts = gate_data({"path": str(path)})
    failed = {verdict.check: verdict.finding for verdict in verdicts if verdict.status is Status.FAILED}
    assert run.facts["gate.data.null_rows"] == expected.count(-1)
    assert failed["groups"] is not None
    assert failed["groups"].code == "rows_without_id"
    assert "windows_inside_articles" in failed


def test_a_table_of_nulls_has_no_article_ids_and_passes_no_gate_that_needs_them(tmp_path: Path) -> None:
    vectors = np.random.default_rng(5).standard_normal((400, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    _, verdicts = gate_data({"path": str(write_jsonl(tmp_path / "v.jsonl", vectors, [None] * 400))})
    found = {verdict.check: verdict.status for verdict in verdicts}
    assert found["groups"] is Status.NOT_RECORDED
    assert found["windows_inside_articles"] is Status.FAILED
    assert found["split_disjoint"] is Status.NOT_RECORDED


def test_parquet_round_trip_of_lists_and_fixed_lists(tmp_path: Path, table: tuple[np.ndarray, list[str]]) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    flat = pa.array(table[0].ravel())
    kinds = {
        "fixed": pa.FixedSizeListArray.from_arrays(flat, 8),
        "lists": pa.array(table[0].tolist(), pa.list_(pa.float64())),
    }
    for name, vector in kinds.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"article": table[1], "vector": vector, "text": ["x"] * 60}), path)
        loaded = read(path, 5)
        np.testing.assert_array_equal(loaded.windows.corpus.vectors, table[0])
        assert (len(loaded.windows), loaded.grouped) == (35, "article")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"vectors": [[1.0, 0.0]], "article": [1]},
            "vector: no such column; it has vectors, article. Did you mean 'vect",
        ),
        ({"vector": [[1.0, 0.0]]}, "article: no such column; it has vector. Known: vector."),
        ({"vector": [1.0], "article": [1]}, "vector: type double; expected a list of floats."),
        ({"vector": [[1, 0]], "article": [1]}, "vector: type list<element: int64>; expected a list of floats."),
        ({"vector": [[1.0, 0.0]], "article": [1.5]}, "article: type double; expected integers or strings."),
        ({"vector": [[1.0, 0.0], None], "article": [1, 1]}, "vector: missing values in rows 0 and on; expected none."),
        ({"vector": [[1.0, 0.0]], "article": [None]}, "no article is long enough: the longest has 1 chunk, context 5 "),
        ({"vector": [[1.0, None]], "article": [1]}, "vector: missing numbers in rows 0 and on."),
        (
            {"vector": [[1.0, 0.0], [1.0]], "article": [1, 1]},
            "vector: 1 dimensions at row 1; expected 2, as in the row before.",
        ),
        ({"vector": [[2.0, 0.0]] * 9, "article": [1] * 9}, "vector: 9 of 9 vectors are off unit length by more than"),
    ],
)
def test_parquet_mistakes(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "v.parquet"
    pq.write_table(pa.table(columns), path)
    assert error(path).startswith(said)


def test_damaged_parquet(tmp_path: Path, table: tuple[np.ndarray, list[str]]) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "v.parquet"
    pq.write_table(pa.table({"article": table[1], "vector": table[0].tolist()}), path)
    whole = path.read_bytes()
    for size in range(4, len(whole), 97):
        path.write_bytes(whole[:size])
        assert error(path).startswith("damaged or truncated parquet (")


def test_parquet_whose_lists_are_a_bomb_is_refused_before_unpacking(tmp_path: Path) -> None:
    """Four million equal numbers in a few kilobytes: the declared count is compared with the memory first."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "v.parquet"
    flat = pa.array(np.zeros(4_000_000, dtype=np.float32))
    pq.write_table(pa.table({"article": [1] * 4, "vector": pa.FixedSizeListArray.from_arrays(flat, 1_000_000)}), path)
    assert path.stat().st_size < 100_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loaded_module, "available_memory", lambda: loaded_module.SPARE + 10_000_000)
        assert error(path).startswith("vector: needs 0.0 GiB of memory for its vectors, 0.3 GiB are available.")
    assert error(path).startswith("vector: 1000000 dimensions at row 0; expected 2 to 16384.")


@pytest.mark.own_process
def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.parquet"
    path.write_bytes(b"PAR1....PAR1")
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    said = 'is a parquet file, and pyarrow is not installed. pip install -e ".[parquet]" adds it.'
    assert error(path) == said
