"""Leaks by content, order over any range, and the founding file formats: against slow twins, and through files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Outcome, Status, Why
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.commands.gate.measure import gate_data
from lvmcheck.commands.main import main
from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from models.data import broken
from models.data.gates.document import Sequence, document_facts, stretches
from models.data.gates.leaks import LEVELS, twin_facts
from models.data.gates.rows import directed, scan
from models.data.gates.sketch import strong_directions
from models.data.gates.twins import Rows, nearest_rows
from models.data.recipes import RECIPES
from models.data.split import by_article
from models.data.store import Corpus, Windows
from models.data.twin import Space, draw_corpus, stream
from suites.data import gate_cases

RECIPE = RECIPES["wiki_584k"]


def twin(windows: int = 2000, dim: int = 64, seed: str = "content") -> Corpus:
    return draw_corpus(Space(RECIPE, dim), RECIPE.shares, windows, 5, stream("wiki_584k", seed), name="t")


# -- twins -------------------------------------------------------------------------------------------------------------
def random_rows(rows: int, dim: int, rng: np.random.Generator, spread: float) -> np.ndarray:  # type: ignore[type-arg]
    """Unit vectors about a common direction; the smaller the spread, the more of them are near each other."""
    made = np.eye(dim)[0] + spread * rng.standard_normal((rows, dim))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 1.0]), st.sampled_from(LEVELS), st.booleans())
def test_twins_are_those_of_brute_force(seed: int, spread: float, cosine: float, half: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = random_rows(1500, 32, rng, spread)
    vectors[1100:1200] = broken.noisy(vectors[:100], rng, 0.1)
    vectors[1200:1230] = vectors[200:230]
    stored = vectors.astype(np.float16) if half else vectors
    corpus = Corpus("c", stored, np.zeros(1500, dtype=np.int32))
    found = scan(corpus, strong_directions(directed(stored[:500])[0]))
    twins = nearest_rows(Rows(corpus, found, np.arange(1100, 1500)), Rows(corpus, found, np.arange(1100)), cosine)
    unit = directed(stored)[0].astype(np.float64)
    exact = unit[1100:] @ unit[:1100].T
    best = exact.max(axis=1)
    clear = np.abs(best - cosine) > 1e-6
    np.testing.assert_array_equal((twins.cosine > 0)[clear], (best >= cosine)[clear])
    known = np.flatnonzero(twins.row >= 0)
    np.testing.assert_allclose(exact[known, twins.row[known]], best[known], atol=1e-6)
    bits = {row.tobytes() for row in stored[:1100]}
    assert twins.same.tolist() == [row.tobytes() in bits for row in stored[1100:]]


def test_where_all_are_alike_a_random_part_is_searched() -> None:
    """A collapsed encoder: every pair has to be compared in full, so the work is bounded and the number told."""
    corpus = Corpus("c", random_rows(2500, 16, np.random.default_rng(0), 0.01), np.zeros(2500, dtype=np.int32))
    found = scan(corpus)
    queries, pool = Rows(corpus, found, np.arange(2000)), Rows(corpus, found, np.arange(2000, 2500))
    twins = nearest_rows(queries, pool, 0.95, most=600_000)
    assert len(twins.asked) == pytest.approx(1200, abs=2)
    assert (twins.cosine > 0.95).all()
    assert len(nearest_rows(queries, pool, 0.95).asked) == 2000


def test_shares_of_targets_and_how_twins_lie_by_article() -> None:
    corpus = twin()
    split = by_article(corpus.windows(5), 0.2, 0)
    articles = np.unique(split.validation.articles())
    rows = np.flatnonzero(corpus.article == articles[0])
    source = np.flatnonzero(corpus.article == split.train.articles()[0])[: len(rows)]
    vectors = corpus.vectors.copy()
    vectors[rows[: len(source)]] = broken.noisy(vectors[source], np.random.default_rng(0), 0.1)
    changed = replace(corpus, vectors=vectors)
    windows = [replace(part, corpus=changed) for part in (split.train, split.validation)]
    found = scan(changed)
    facts = twin_facts((windows[0], found), (windows[1], found))
    targets = np.unique(windows[1].rows()[:, -1])
    copied = np.isin(targets, rows[: len(source)]).mean()
    assert facts["targets"] == facts["targets_searched"] == len(targets)
    assert facts["copied_share"] == 0.0
    shares = facts["twin_shares"]
    assert isinstance(shares, list)
    assert shares[LEVELS.index(0.999)] == 0.0  # noise of a tenth of the length: cosine 0.995
    assert shares[LEVELS.index(0.99)] == pytest.approx(copied)
    assert facts["twin_pairs"] == 1
    assert facts["twin_covered"] == pytest.approx(np.isin(corpus.article[targets], articles[:1]).mean())


# -- order -------------------------------------------------------------------------------------------------------------
def test_ready_made_windows_give_the_order_of_their_text() -> None:
    corpus = twin(800)
    windows = corpus.windows(5)
    order = np.arange(len(corpus))
    made = Windows(corpus, 5, index=windows.rows().astype(np.int32))
    text = Sequence.of(made)
    long = np.isin(corpus.article, np.unique(windows.articles()))
    assert text.rows.tolist() == order[long].tolist()
    assert len(np.unique(text.run)) == len(np.unique(windows.articles()))
    facts = document_facts(made)
    assert facts["order_lags"] == pytest.approx(document_facts(windows)["order_lags"], abs=2e-3)
    mixed = made.select(np.random.default_rng(0).permutation(len(made)))
    assert document_facts(mixed)["order_lags"] == pytest.approx(facts["order_lags"], abs=0.02)


def test_stretches_cover_a_small_corpus_and_are_spread_over_a_large_one() -> None:
    assert stretches(100) == [(0, 100)]
    assert stretches(24_000)[0] == (0, 1500)
    assert stretches(24_000)[-1] == (22_500, 24_000)
    large = stretches(800_000)
    assert (len(large), large[-1]) == (16, (750_000, 758_192))


def test_lags_and_period_are_those_of_a_plain_count() -> None:
    corpus = broken.shuffled_in(twin(3000), np.random.default_rng(0), 3)
    facts = document_facts(corpus.windows(5))
    unit, article = corpus.vectors.astype(np.float64), corpus.article
    for lag, measured in enumerate(facts["order_lags"], 1):  # type: ignore[arg-type]
        same = article[lag:] == article[:-lag]
        assert measured == pytest.approx((unit[lag:] * unit[:-lag]).sum(axis=1)[same].mean(), abs=0.004)
    assert facts["order_period"] == 3
    assert facts["order_period_edge"] < facts["order_period_inside"]  # type: ignore[operator]


def test_too_little_text_is_no_case_for_its_order() -> None:
    facts = {f"gate.data.{key}": value for key, value in document_facts(twin(200).windows(5)).items()}
    run = Run(events=(ev.Data(name="c", fingerprint="0", facts={"gate.parts": ["data"], **facts}),))
    assert judge(load_check("document_order")(), run).status is Status.NOT_APPLICABLE


# -- files -------------------------------------------------------------------------------------------------------------
def gated(path: Path) -> tuple[Run, dict[str, Outcome]]:
    run, verdicts = gate_data({"path": str(path)})
    return run, {verdict.check: verdict.outcome for verdict in verdicts}


def folder(path: Path, corpus: Corpus) -> Path:
    path.mkdir()
    np.save(path / "vectors.npy", corpus.vectors)
    np.save(path / "article.npy", corpus.article)
    return path


@pytest.fixture(scope="module")
def sound() -> Corpus:
    return twin(4000)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda corpus, rng: gate_cases.rows_copied(corpus, rng, articles=2), "leaked_split"),
        (gate_cases.articles_twice, "leaked_split"),
        (gate_cases.sentences_repeated, None),
    ],
)
def test_copies_in_one_file_are_found_under_whatever_id(
    change: gate_cases.Change, cause: str | None, sound: Corpus, tmp_path: Path
) -> None:
    path = folder(tmp_path / "c", change(sound, np.random.default_rng(0)))
    run, outcomes = gated(path)
    assert outcomes["split_disjoint"].status is (Status.PASSED if cause is None else Status.FAILED)
    named = diagnose(run)
    assert (named[0].name if named else None) == cause


def test_the_founding_formats_can_be_green(sound: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without article ids what cannot be judged is not recorded, and how to add ids is said; with them it passes."""
    windows = sound.windows(5)
    context, target = windows.batch(slice(None))
    given = {"context_sequences": context, "target_vectors": target}
    np.savez(tmp_path / "flat.npz", **given)  # type: ignore[arg-type]
    assert main(["gate", str(tmp_path / "flat.npz")]) == 0
    assert "article_ids" in capsys.readouterr().out
    _, outcomes = gated(tmp_path / "flat.npz")
    unknown = {name for name, outcome in outcomes.items() if outcome.status is Status.NOT_RECORDED}
    assert unknown == {"groups", "windows_inside_articles", "split_disjoint"}
    assert {outcomes[name].why for name in unknown} == {Why.NOT_IN_FORMAT}
    np.savez(tmp_path / "ids.npz", **given, article_ids=windows.articles())  # type: ignore[arg-type]
    assert {gated(tmp_path / "ids.npz")[1][name].status for name in unknown} == {Status.PASSED}
    split = by_article(windows, 0.1, 0)
    held = split.validation.batch(slice(None))
    train = split.train.batch(slice(None))
    for name, vectors in (("own", held[1]), ("leak", np.concatenate([train[1][:200], held[1][200:]]))):
        own = {"context_sequences": train[0], "target_vectors": train[1]}
        np.savez(tmp_path / f"{name}.npz", **own, val_context_sequences=held[0], val_target_vectors=vectors)
    assert main(["gate", str(tmp_path / "own.npz")]) == 0
    assert gated(tmp_path / "leak.npz")[1]["split_disjoint"].status is Status.FAILED


def test_rows_of_all_articles_mixed_are_told_where_no_window_is_left(tmp_path: Path) -> None:
    path = folder(tmp_path / "c", broken.ids_moved_along(twin(3000), np.random.default_rng(0), 3000))
    with pytest.raises(InputError, match="not in document order"):
        gated(path)
