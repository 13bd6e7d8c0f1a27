"""Breaking a sound twin on purpose, one fault at a time, so that gates and checks can be seen to fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.data.store import NO_ARTICLE, Corpus, FloatArray, Windows

NULL_GROUP = 0.805  # share of the 790k file's rows without an article id
NOISE = 0.02  # length of the noise that makes a near-duplicate: cosine 0.9998


def scrambled(corpus: Corpus, rng: np.random.Generator, share: float = NULL_GROUP) -> Corpus:
    """The last ``share`` of the rows loses its article ids and its order."""
    order = np.arange(len(corpus))
    rng.shuffle(order[round(len(corpus) * (1.0 - share)) :])
    return replace(null_group(corpus, share), vectors=corpus.vectors[order])


def null_group(corpus: Corpus, share: float = NULL_GROUP) -> Corpus:
    """The last ``share`` of the rows has no article id, and is otherwise as it was."""
    article = corpus.article.copy()
    article[round(len(corpus) * (1.0 - share)) :] = NO_ARTICLE
    return replace(corpus, article=article)


def shuffled(corpus: Corpus, rng: np.random.Generator) -> Corpus:
    """Every article keeps its chunks and loses their order."""
    order = np.lexsort((rng.random(len(corpus)), corpus.article))
    return replace(corpus, vectors=corpus.vectors[order], article=corpus.article[order])


def shuffled_in(corpus: Corpus, rng: np.random.Generator, size: int) -> Corpus:
    """Every ``size`` rows of an article are in random order."""
    start, block = blocks_of(corpus, size)
    return reordered(corpus, np.lexsort((rng.random(len(corpus)), block, start)))


def blocks_moved(corpus: Corpus, rng: np.random.Generator, size: int) -> Corpus:
    """Every ``size`` rows of an article stay together, and these blocks are in random order."""
    start, block = blocks_of(corpus, size)
    _, number = np.unique(np.stack([start, block]), axis=1, return_inverse=True)
    return reordered(corpus, np.lexsort((np.arange(len(corpus)), rng.random(number.max() + 1)[number.ravel()], start)))


def ids_moved_along(corpus: Corpus, rng: np.random.Generator, size: int = 500) -> Corpus:
    """Every ``size`` rows of the file are in random order, and so are their article ids."""
    return reordered(corpus, np.lexsort((rng.random(len(corpus)), np.arange(len(corpus)) // size)))


def reordered(corpus: Corpus, order: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> Corpus:
    """The rows with their article ids in another order."""
    return replace(corpus, vectors=corpus.vectors[order], article=corpus.article[order])


def blocks_of(
    corpus: Corpus, size: int
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """First row of every row's article, and the number of its block in it."""
    first, length = corpus.runs()
    start = np.repeat(first, length)
    return start, (np.arange(len(corpus)) - start) // size


def articles_joined(corpus: Corpus) -> Corpus:
    """Every article boundary is lost: all rows belong to one article."""
    return replace(corpus, article=np.zeros_like(corpus.article))


def other_encoder(corpus: Corpus, rng: np.random.Generator) -> Corpus:
    """The same geometry in another vector space: every vector under one random rotation."""
    rotation = np.linalg.qr(rng.standard_normal((corpus.dim, corpus.dim)))[0].astype(np.float32)
    return replace(corpus, vectors=like(corpus.vectors, corpus.vectors @ rotation))


def zero_vectors(corpus: Corpus, rng: np.random.Generator, share: float = 0.02) -> Corpus:
    """A ``share`` of the rows, at least one, is zero."""
    vectors = corpus.vectors.copy()
    vectors[pick(len(corpus), share, rng)] = 0.0
    return replace(corpus, vectors=vectors)


def wrong_norm(corpus: Corpus, rng: np.random.Generator, mean: float = 3.1) -> Corpus:
    """Every vector has a length of its own, ``mean`` on average with a deviation of a tenth."""
    lengths = mean * (1.0 + 0.1 * rng.standard_normal((len(corpus), 1)))
    return replace(corpus, vectors=like(corpus.vectors, corpus.vectors * lengths))


def duplicated(corpus: Corpus, rng: np.random.Generator, share: float = 0.1, *, noise: float = 0.0) -> Corpus:
    """A ``share`` of the rows becomes a copy of another row, with ``noise`` (its length) added, at unit length."""
    rows = pick(len(corpus), 2 * share, rng)
    copies, originals = rows[: len(rows) // 2], rows[len(rows) // 2 :][: len(rows) // 2]
    vectors = corpus.vectors.copy()
    vectors[copies] = noisy(corpus.vectors[originals], rng, noise)
    return replace(corpus, vectors=vectors)


def not_a_number(corpus: Corpus, rng: np.random.Generator, share: float = 0.002) -> Corpus:
    """A ``share`` of the rows, at least one, holds one NaN."""
    vectors = corpus.vectors.copy()
    rows = pick(len(corpus), share, rng)
    vectors[rows, rng.integers(0, corpus.dim, len(rows))] = np.nan
    return replace(corpus, vectors=vectors)


def split_duplicated(train: Windows, validation: Windows, rng: np.random.Generator, *, noise: float = 0.0) -> Windows:
    """Validation whose second half is replaced by the first windows of ``train`` (fewer where train is shorter).

    The copies are whole articles' rows put behind the validation rows, so that nothing but their content tells.
    """
    copied = min(len(validation) // 2, len(train))
    kept = validation.rows(np.arange(len(validation) - copied))
    rows, place = np.unique(train.rows(np.arange(copied)), return_inverse=True)
    corpus = validation.corpus
    joined = replace(
        corpus,
        vectors=np.concatenate([corpus.vectors, noisy(train.corpus.vectors[rows], rng, noise)]),
        article=np.concatenate([corpus.article, train.corpus.article[rows] + corpus.article.max() + 1]),
    )
    index = np.concatenate([kept, place.reshape(copied, -1) + len(corpus)]).astype(np.int32)
    return Windows(joined, validation.context, index=index)


def rows_leaked(train: Windows, validation: Windows, rng: np.random.Generator, share: float = 0.03) -> Windows:
    """A ``share`` of the validation rows becomes a row of training, bit for bit, under its own id."""
    rows = pick(len(validation.corpus), share, rng)
    vectors = validation.corpus.vectors.copy()
    vectors[rows] = train.corpus.vectors[rng.choice(np.unique(train.rows()), len(rows), replace=False)]
    return replace(validation, corpus=replace(validation.corpus, vectors=vectors))


def articles_leaked(train: Windows, validation: Windows, rng: np.random.Generator, noise: float = 0.1) -> Windows:
    """Every tenth validation article becomes the beginning of a training article, with noise (cosine 0.995)."""
    vectors = validation.corpus.vectors.copy()
    there, longest = train.corpus.runs()
    begins = there[np.argsort(-longest, kind="stable")]
    for number, (first, length) in enumerate(zip(*validation.corpus.runs(), strict=True)):
        if number % 10 == 0:
            start = int(begins[number // 10])
            copied = train.corpus.vectors[start : start + min(int(length), int(longest.max()))]
            vectors[first : first + len(copied)] = noisy(copied, rng, noise)
    return replace(validation, corpus=replace(validation.corpus, vectors=vectors))


def centred(corpus: Corpus) -> Corpus:
    """Without the mean of its rows, at unit length again."""
    rest = corpus.vectors - corpus.vectors.mean(axis=0, dtype=np.float64)
    return replace(corpus, vectors=like(corpus.vectors, rest / np.linalg.norm(rest, axis=1, keepdims=True)))


def rescaled(corpus: Corpus, factor: float = 0.5) -> Corpus:
    """Every vector ``factor`` times as long."""
    return replace(corpus, vectors=like(corpus.vectors, corpus.vectors * factor))


def noisy(vectors: FloatArray, rng: np.random.Generator, noise: float) -> FloatArray:
    """Unit vectors [n, D] with a random vector of length ``noise`` added to each, at unit length again."""
    if not noise:
        return vectors
    moved = vectors + rng.standard_normal(vectors.shape) * (noise / np.sqrt(vectors.shape[1]))
    return like(vectors, moved / np.linalg.norm(moved, axis=1, keepdims=True))


def like(vectors: FloatArray, values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> FloatArray:
    """``values`` in the type that ``vectors`` are stored in."""
    return values.astype(np.float16) if vectors.dtype == np.float16 else values.astype(np.float32)


def pick(rows: int, share: float, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Distinct row numbers, at least one."""
    return rng.permutation(rows)[: max(round(rows * share), 1)]
