"""Batches: labels shifted once, padding and boundaries never scored, nothing lost, order from seed and epoch."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.text.batches import TokenBatch, TokenSet
from models.data.text.corpus import tokenise
from models.data.text.dataset import ALL, open_text
from models.data.text.facts import loss_floor
from models.data.text.packing import buckets, fill, pack
from models.data.text.records import Record
from models.data.text.tokenizer import ByteTokenizer
from suites.known_failures.cognate_data import labels_not_shifted, padding_counted

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ByteTokenizer()


def token_set(answers: list[str], length: int, *, packing: bool = True) -> TokenSet:
    records = [Record("s", str(number), "q", answer) for number, answer in enumerate(answers)]
    return TokenSet(tokenise(records, TOKENIZER), pad=TOKENIZER.pad, length=length, packing=packing)


def by_record(batch: TokenBatch) -> Counter[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Inputs and targets of every record of a batch."""
    found: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
    for tokens, targets, segments in zip(batch.tokens, batch.targets, batch.segments, strict=True):
        for segment in range(1, int(segments.max()) + 1):
            inside = segments == segment
            found[tuple(tokens[inside].tolist()), tuple(targets[inside].tolist())] += 1
    return found


def test_labels_padding_and_boundaries_by_hand() -> None:
    batch = next(token_set(["x", "yz"], 24).in_order(1))
    text = [list(b"Q: q\nA: x"), list(b"Q: q\nA: yz")]
    first, second = (text[0], text[1]) if batch.tokens[0, 8] == ord("x") else (text[1], text[0])
    padding = 24 - len(first) - len(second)
    assert batch.tokens.tolist() == [[*first, *second, *[TOKENIZER.pad] * padding]]
    wanted = [*first[1:], TOKENIZER.end, *second[1:], TOKENIZER.end, *[-100] * padding]
    assert batch.targets.tolist() == [wanted]
    assert batch.segments.tolist() == [[1] * len(first) + [2] * len(second) + [0] * padding]
    assert batch.scored == len(first) + len(second) == int((batch.targets != -100).sum())
    assert batch.tokens.dtype == batch.targets.dtype == batch.segments.dtype == torch.int64


@pytest.mark.parametrize("packing", [True, False])
def test_what_is_asked_is_read_and_not_scored_and_texts_that_go_on_are_scored_whole(packing: bool) -> None:
    records = [Record("s", "1", "q", "x"), Record("python_docs", "2", "one", "two"), Record("s", "3", "qq", "yz")]
    corpus = tokenise(records, TOKENIZER, answers_only=True)
    assert (corpus.scored, corpus.positions) == (3 + 7 + 4, 9 + 7 + 11)
    assert corpus.bytes == len(" x" + "one two" + " yz")
    kept = corpus.select(np.array([0, 2]))
    assert (kept.scored, kept.bytes) == (7, 5)
    batch = next(TokenSet(corpus, pad=TOKENIZER.pad, length=40, packing=packing).in_order(3))
    found = {bytes(target for target in targets if 0 <= target < 256) for _, targets in by_record(batch)}
    assert found == {b" x", b"ne two", b" yz"}
    assert batch.scored == corpus.scored == int((batch.targets != -100).sum())
    assert loss_floor(corpus) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("ab", min_size=1, max_size=20), min_size=1, max_size=40),
    st.integers(29, 80),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 3),
)
def test_packing_keeps_every_scored_token_and_shifts_once(
    answers: list[str], length: int, batch_size: int, packing: bool, epoch: int
) -> None:
    tokens = token_set(answers, length, packing=packing)
    wanted: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
    for answer in answers:
        text = tuple(f"Q: q\nA: {answer}".encode())
        wanted[text, (*text[1:], TOKENIZER.end)] += 1
    batches = list(tokens.batches(batch_size, seed=1, epoch=epoch))
    assert sum((by_record(batch) for batch in batches), Counter()) == wanted
    assert sum(batch.scored for batch in batches) == sum(len(inputs) * n for (inputs, _), n in wanted.items())
    assert len(batches) == tokens.count(batch_size)
    for batch in batches:
        padding = batch.segments == 0
        assert (batch.targets[padding] == -100).all()
        assert (batch.tokens[padding] == TOKENIZER.pad).all()
        assert (batch.targets[~padding] >= 0).all()
        assert batch.tokens.shape[1] == (length if packing else int((~padding).sum(dim=1).max()))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 50), max_size=80), st.integers(50, 120))
def test_layouts_hold_every_length_without_overlap(lengths: list[int], capacity: int) -> None:
    array = np.array(lengths, dtype=np.int32)
    for layout in (pack(array, capacity), buckets(array)):
        assert sorted(layout.length.tolist()) == sorted(lengths)
        filled = fill(layout, array, np.random.default_rng(0))
        assert sorted(filled.tolist()) == list(range(len(lengths)))
        assert (array[filled] == layout.length).all()
        for row in range(layout.rows):
            slots = slice(layout.row_first[row], layout.row_first[row + 1])
            ends = layout.column[slots] + layout.length[slots]
            assert len(ends) > 0
            assert (layout.column[slots][1:] == ends[:-1]).all()
            assert ends[-1] <= layout.width
    packed = pack(array, capacity)
    if lengths:  # best fit never needs twice the rows that the lengths alone demand
        assert packed.rows <= 2 * -(-sum(lengths) // capacity)
    shuffled = np.random.default_rng(1).permutation(array)
    assert (pack(shuffled, capacity).length == packed.length).all()


def test_a_record_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="lengths must be 1 to 8, got 3 to 9"):
        pack(np.array([3, 9]), 8)


def test_an_epoch_resumes_at_any_batch_and_epochs_differ() -> None:
    for packing in (True, False):
        tokens = token_set([f"{number:03}" for number in range(50)], 40, packing=packing)
        whole = list(tokens.batches(4, seed=7, epoch=2))
        rest = list(tokens.batches(4, seed=7, epoch=2, first=3))
        assert [batch.tokens.tolist() for batch in rest] == [batch.tokens.tolist() for batch in whole[3:]]
        other = list(tokens.batches(4, seed=7, epoch=3))
        assert len(other) == len(whole) == tokens.count(4)
        assert [batch.tokens.tolist() for batch in other] != [batch.tokens.tolist() for batch in whole]
        assert list(tokens.batches(4, seed=7, epoch=2, first=len(whole))) == []


def test_rows_mix_records_anew_every_epoch() -> None:
    tokens = token_set([f"{number:03}" for number in range(50)], 40)
    rows = [
        {tuple(row.tolist()) for batch in tokens.batches(4, seed=0, epoch=epoch) for row in batch.tokens}
        for epoch in (1, 2)
    ]
    assert len(rows[0] & rows[1]) < 3


def test_buckets_need_little_padding() -> None:
    answers = ["a" * (number % 60 + 1) for number in range(240)]
    batches = list(token_set(answers, 128, packing=False).batches(8, seed=0, epoch=1))
    assert sum(batch.scored for batch in batches) / sum(batch.tokens.numel() for batch in batches) > 0.95
    assert len({batch.tokens.shape[1] for batch in batches}) > 5


def digest_of_batches() -> str:
    data = open_text({"records": 60, "val_records": 10}, seed=3)
    total = hashlib.sha256(data.fingerprint.encode())
    for batch in [*data.stage(ALL).batches(4, seed=3, epoch=1), *data.validation(4)]:
        for part in (batch.tokens, batch.targets, batch.segments):
            total.update(part.numpy().tobytes())
    return total.hexdigest()


def test_another_process_makes_the_same_batches() -> None:
    code = "from suites.data.test_text_batches import digest_of_batches as digest; print(digest())"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == digest_of_batches()


def test_the_original_projects_faults_are_real() -> None:
    data = open_text({"records": 30, "val_records": 5, "packing": False}, seed=0)
    batch = max(data.validation(8), key=lambda each: int((each.segments == 0).sum()))
    padding = batch.segments == 0
    assert padding.any()
    copied = labels_not_shifted(batch)
    assert (copied.targets[~padding] == batch.tokens[~padding]).all()
    assert (copied.targets[padding] == -100).all()
    counted = padding_counted(batch)
    assert (counted.targets[padding] == data.tokenizer.pad).all()
    assert counted.scored == batch.targets.numel() > batch.scored
    assert torch.equal(padding_counted(copied).targets, batch.tokens)
