"""Breaking a sound twin on purpose, one fault at a time, so that gates and checks can be seen to fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.data.store import Corpus, Windows

NULL_GROUP = 0.805  # share of the 790k file's rows without an article id


def scrambled(corpus: Corpus, rng: np.random.Generator, share: float = NULL_GROUP) -> Corpus:
    """The last ``share`` of the rows becomes one article (the null group) in random order."""
    first = round(len(corpus) * (1.0 - share))
    order = np.arange(len(corpus))
    rng.shuffle(order[first:])
    article = corpus.article.copy()
    article[first:] = article.max() + 1
    return replace(corpus, vectors=corpus.vectors[order], article=article)


def articles_joined(corpus: Corpus) -> Corpus:
    """Every article boundary is lost: all rows belong to one article."""
    return replace(corpus, article=np.zeros_like(corpus.article))


def other_encoder(corpus: Corpus, rng: np.random.Generator) -> Corpus:
    """The same geometry in another vector space: every vector under one random rotation."""
    rotation = np.linalg.qr(rng.standard_normal((corpus.dim, corpus.dim)))[0].astype(np.float32)
    rotated = corpus.vectors @ rotation
    half = corpus.vectors.dtype == np.float16
    return replace(corpus, vectors=rotated.astype(np.float16) if half else rotated.astype(np.float32))


def zero_vectors(corpus: Corpus, rng: np.random.Generator, share: float = 0.02) -> Corpus:
    """A ``share`` of the rows, at least one, is zero."""
    vectors = corpus.vectors.copy()
    vectors[pick(len(corpus), share, rng)] = 0.0
    return replace(corpus, vectors=vectors)


def not_a_number(corpus: Corpus, rng: np.random.Generator, share: float = 0.002) -> Corpus:
    """A ``share`` of the rows, at least one, holds one NaN."""
    vectors = corpus.vectors.copy()
    rows = pick(len(corpus), share, rng)
    vectors[rows, rng.integers(0, corpus.dim, len(rows))] = np.nan
    return replace(corpus, vectors=vectors)


def split_duplicated(train: Windows, validation: Windows) -> Windows:
    """Validation whose second half is replaced by the first windows of ``train`` (fewer where train is shorter).

    The copies are whole articles' rows put behind the validation rows, so that nothing but their content tells.
    """
    copied = min(len(validation) // 2, len(train))
    kept = validation.rows(np.arange(len(validation) - copied))
    rows, place = np.unique(train.rows(np.arange(copied)), return_inverse=True)
    corpus = validation.corpus
    joined = replace(
        corpus,
        vectors=np.concatenate([corpus.vectors, train.corpus.vectors[rows].astype(corpus.vectors.dtype)]),
        article=np.concatenate([corpus.article, train.corpus.article[rows] + corpus.article.max() + 1]),
    )
    index = np.concatenate([kept, place.reshape(copied, -1) + len(corpus)]).astype(np.int32)
    return Windows(joined, validation.context, index=index)


def pick(rows: int, share: float, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Distinct row numbers, at least one."""
    return rng.permutation(rows)[: max(round(rows * share), 1)]
