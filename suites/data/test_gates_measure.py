"""What gates measure, against plain slow twins: rows, near-duplicates, groups, order, space, words."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data import broken
from models.data.gates.groups import group_facts, window_facts
from models.data.gates.near import NEAR, near_rows, pick_rows
from models.data.gates.order import LEVELS, random_cosine, reference_facts
from models.data.gates.rows import BLOCK, row_facts, scan
from models.data.gates.sketch import sketch_directions
from models.data.gates.space import Shape, log_correlation, space_facts
from models.data.gates.words import equal_pairs, pair_rows, rarities, rows_of, similarity, word_facts
from models.data.recipes import RECIPES
from models.data.store import NO_ARTICLE, Corpus, Windows
from models.data.twin import Space, draw_corpus, stream

RECIPE = RECIPES["wiki_584k"]


def corpus(rows: int, dim: int = 16, seed: int = 0, *, articles: int = 3, half: bool = False) -> Corpus:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((rows, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    article = np.sort(rng.integers(0, articles, rows)).astype(np.int32)
    return Corpus("c", vectors.astype(np.float16) if half else vectors, article)


def twin(windows: int = 2000, dim: int = 96, seed: str = "gates") -> Corpus:
    return draw_corpus(Space(RECIPE, dim), RECIPE.shares, windows, 5, stream("wiki_584k", seed), name="t")


# -- rows --------------------------------------------------------------------------------------------------------------
FAULTS = st.lists(
    st.tuples(st.integers(0, 39), st.sampled_from(["nan", "inf", "zero", "long", "huge", "tiny", "copy"])), max_size=8
)


@settings(max_examples=40, deadline=None)
@given(FAULTS, st.booleans())
def test_row_facts_are_what_a_plain_count_gives(faults: list[tuple[int, str]], half: bool) -> None:
    made = corpus(40, half=half)
    values = {"nan": np.nan, "inf": np.inf, "zero": 0.0, "long": 3.0, "huge": 3e4 if half else 1e30, "tiny": 1e-7}
    for row, fault in faults:
        if fault == "copy":
            made.vectors[row] = made.vectors[(row + 1) % 40]
        elif fault in ("nan", "inf"):
            made.vectors[row, row % 16] = values[fault]
        else:
            made.vectors[row] = values[fault]
    facts = row_facts(made, scan(made))
    wide = made.vectors.astype(np.float64)
    finite = np.isfinite(wide).all(axis=1)
    zero = ~wide.any(axis=1)
    norms = np.linalg.norm(np.where(finite[:, None], wide, 0.0), axis=1)
    sound = finite & ~zero
    assert facts["nonfinite_rows"] == int((~finite).sum())
    assert facts["zero_rows"] == int(zero.sum())
    assert facts["off_norm_rows"] == int((np.abs(norms[sound] - 1) > 1e-2).sum())
    assert facts["norm_deviation"] == pytest.approx(np.abs(norms[sound] - 1).max(), rel=1e-3, abs=1e-6)
    bits = {row.tobytes() for row in made.vectors[sound]}
    assert facts["duplicate_rows"] == int(sound.sum()) - len(bits)
    if (~finite).any():
        assert facts["first_nonfinite_row"] == int((~finite).argmax())


def test_adjacent_cosines_cross_the_blocks_of_the_pass() -> None:
    made = corpus(BLOCK + 5, 4)
    wide = made.vectors.astype(np.float64)
    np.testing.assert_allclose(scan(made).adjacent, (wide[1:] * wide[:-1]).sum(axis=1), atol=1e-6)


def test_one_row_and_a_corpus_without_directions() -> None:
    assert row_facts(corpus(1), scan(corpus(1)))["rows"] == 1
    dead = replace(corpus(6), vectors=np.zeros((6, 16), dtype=np.float32))
    facts = row_facts(dead, scan(dead))
    assert facts["zero_rows"] == 6
    assert "norm_deviation" not in facts  # not measured, which is not 0


# -- near-duplicates ---------------------------------------------------------------------------------------------------
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.03, 0.044, 0.045, 0.06]), st.booleans())
def test_near_duplicates_are_those_of_brute_force(seed: int, noise: float, half: bool) -> None:
    """Noise of length .0447 is the edge; pairs within rounding of it may go either way."""
    made = corpus(300, 64, seed, half=half)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(300)[:80]
    made.vectors[rows[:40]] = broken.noisy(made.vectors[rows[40:]], rng, noise)
    unit = made.vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1.0)
    best = cosines.max(axis=1)
    found = near_rows((made, scan(made), np.arange(300)), (made, scan(made)))
    clear = np.abs(best - NEAR) > 1e-6
    np.testing.assert_array_equal(found[clear], best[clear] > NEAR)


def test_near_duplicates_in_another_corpus_and_only_among_allowed_rows() -> None:
    pool, asked = corpus(500, 32, 1), corpus(50, 32, 2)
    asked.vectors[7] = pool.vectors[400]
    queries = (asked, scan(asked), np.arange(50))
    assert np.flatnonzero(near_rows(queries, (pool, scan(pool)))).tolist() == [7]
    allowed = np.arange(500) != 400
    assert not near_rows(queries, (pool, scan(pool)), allowed).any()


def test_a_corpus_of_one_vector_repeated_is_all_duplicates() -> None:
    made = replace(corpus(9000, 8), vectors=np.tile(corpus(1, 8).vectors, (9000, 1)))
    found = scan(made)
    assert near_rows((made, found, pick_rows(found.sound)), (made, found)).all()
    assert row_facts(made, found)["duplicate_rows"] == 8999


def test_the_sketch_never_lengthens_a_difference() -> None:
    directions = sketch_directions(40)
    np.testing.assert_allclose(directions.T @ directions, np.eye(24), atol=1e-6)


# -- groups and windows ------------------------------------------------------------------------------------------------
@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=60), st.integers(1, 5))
def test_windows_are_counted_by_article(ids: list[int], context: int) -> None:
    made = replace(corpus(len(ids), 4), article=np.array(ids, dtype=np.int32))
    windows = made.windows(context)
    facts = window_facts(windows)
    plain = [
        start
        for start in range(len(ids) - context)
        if len(set(ids[start : start + context + 1])) == 1
    ]  # fmt: skip
    assert facts["windows"] == facts["windows_inside"] == len(plain)
    assert facts["windows_crossing"] == 0
    assert facts["windows_unplaced"] == sum(ids[start] == NO_ARTICLE for start in plain)
    groups = group_facts(windows)
    assert groups["articles"] == len(set(ids) - {NO_ARTICLE})
    assert groups["null_rows"] == ids.count(NO_ARTICLE)
    pieces = sum(1 for i, now in enumerate(ids) if now != NO_ARTICLE and (i == 0 or ids[i - 1] != now))
    assert groups["torn_articles"] == pieces - len(set(ids) - {NO_ARTICLE})


def test_windows_that_cross_are_counted() -> None:
    made = replace(corpus(20, 4), article=np.repeat([0, 1], 10).astype(np.int32))
    facts = window_facts(Windows(made, 5, starts=np.arange(15, dtype=np.int32)))
    assert (facts["windows"], facts["windows_inside"], facts["windows_crossing"]) == (15, 10, 5)


def test_one_article_among_short_ones_is_oversized() -> None:
    sizes = [5] * 40 + [500]
    article = np.repeat(np.arange(41), sizes).astype(np.int32)
    facts = group_facts(replace(corpus(len(article), 4), article=article).windows(2))
    assert (facts["oversized_articles"], facts["oversized_rows"]) == (1, 500)
    alone = np.arange(200, dtype=np.int32)
    assert group_facts(replace(corpus(200, 4), article=alone).windows(2))["oversized_rows"] == 0


# -- order -------------------------------------------------------------------------------------------------------------
def test_random_cosine_is_the_mean_over_all_pairs() -> None:
    windows = twin(300, 64).windows(5)
    targets = windows.batch(slice(None))[1].astype(np.float64)
    cosines = targets @ targets.T
    count = len(windows)
    assert random_cosine(windows) == pytest.approx((cosines.sum() - count) / (count * (count - 1)), abs=1e-6)


def test_a_superset_keeps_every_pair_and_a_reordered_one_does_not() -> None:
    reference = twin(1500)
    more = twin(500, seed="more")
    appended = Corpus(
        "a",
        np.concatenate([more.vectors, reference.vectors]),
        np.concatenate([more.article, reference.article + more.article.max() + 1]),
    )
    facts = reference_facts(appended, scan(appended), reference, scan(reference))
    assert facts["rows_found"] == len(reference)
    assert facts["adjacent_kept"] == facts["adjacent"] == len(reference) - len(np.unique(reference.article))
    assert all(ours >= theirs for ours, theirs in zip(facts["corpus_pairs"], facts["pairs"], strict=True))
    mixed = broken.scrambled(reference, np.random.default_rng(0), 1.0)
    facts = reference_facts(mixed, scan(mixed), reference, scan(reference))
    assert facts["rows_found"] == len(reference)
    assert facts["adjacent_kept"] < 0.01 * facts["adjacent"]
    assert facts["corpus_pairs"][LEVELS.index(0.6)] < 0.2 * facts["pairs"][LEVELS.index(0.6)]


def test_float16_and_float32_of_the_same_rows_are_found_in_each_other() -> None:
    wide = twin(300, 64)
    narrow = replace(wide, vectors=wide.vectors.astype(np.float16))
    facts = reference_facts(narrow, scan(narrow), wide, scan(wide))
    assert facts["adjacent_kept"] == facts["adjacent"]


# -- space -------------------------------------------------------------------------------------------------------------
def test_alignment_is_one_at_home_and_nothing_after_a_rotation() -> None:
    home = twin(3000).windows(5)
    shape = Shape.of(home)
    variances, directions = shape.principal()
    there = space_facts(shape, variances, directions, Shape.of(twin(3000, seed="else").windows(5)))
    assert there["space_alignment"] > 0.9
    assert there["space_mean_cosine"] > 0.9
    for seed in range(4):
        rotated = broken.other_encoder(home.corpus, np.random.default_rng(seed)).windows(5)
        facts = space_facts(shape, variances, directions, Shape.of(rotated))
        assert abs(facts["space_alignment"]) < 0.35  # deviation 1 / sqrt(96) = .10
        assert facts["space_overlap"] < 0.4


def test_log_correlation_of_nothing_is_nan() -> None:
    assert math.isnan(log_correlation(np.ones(5), np.arange(5.0)))
    assert log_correlation(np.arange(1.0, 9.0), np.arange(1.0, 9.0) * 7) == pytest.approx(1.0)


# -- words -------------------------------------------------------------------------------------------------------------
def test_similarity_of_words() -> None:
    bags = [frozenset({"a", "b"}), frozenset({"a", "c"}), frozenset({"d"}), frozenset[str]()]
    rarity = rarities(bags)
    assert similarity(bags[0], bags[0], rarity) == pytest.approx(1.0)
    assert 0 < similarity(bags[0], bags[1], rarity) < 0.5
    assert similarity(bags[0], bags[2], rarity) == similarity(bags[0], bags[3], rarity) == 0.0


def texts_of(made: Corpus, words: int = 12) -> dict[int, str]:
    """Each chunk says its strongest dimensions: texts that belong to their vectors."""
    strongest = np.argsort(-made.vectors, axis=1)[:, :words]
    return {row: " ".join(f"word{number:03d}" for number in numbers) for row, numbers in enumerate(strongest)}


def test_words_tell_texts_in_place_from_moved_and_shuffled_ones() -> None:
    made = twin(3000)
    pairs = pair_rows(made, scan(made).sound)
    texts = texts_of(made)
    assert (made.article[pairs[:, 0]] == made.article[pairs[:, 1]]).all()
    placed = word_facts(made, pairs, {row: texts[row] for row in rows_of(pairs)})
    assert min(placed["margins"]) > 0.3
    half = len(made) // 2
    slipped = word_facts(made, pairs, {r: texts[min(r + (r > half), len(made) - 1)] for r in rows_of(pairs)})
    assert min(slipped["margins"][:3]) > 0.3
    assert max(slipped["margins"][-3:]) < -0.3
    order = np.random.default_rng(0).permutation(len(made))
    shuffled = word_facts(made, pairs, {row: texts[int(order[row])] for row in rows_of(pairs)})
    assert max(shuffled["margins"]) < 0.2


def test_equal_pairs_are_pairs_of_equal_hashes() -> None:
    hashes = np.array([5, 7, 5, 9, 7, 5], dtype=np.uint64)
    pairs = equal_pairs(hashes, np.array([True, True, True, True, True, False]))
    assert sorted(map(sorted, pairs.tolist())) == [[0, 2], [1, 4]]
    assert not len(pair_rows(corpus(9), np.ones(9, dtype=bool)))
