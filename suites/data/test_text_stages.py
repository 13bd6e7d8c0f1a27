"""The opened data: split, stages, mix, fingerprints, facts, questions; and the original project's faults, made
visible."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from models.data.text.answers import exact
from models.data.text.config import parse_text_config
from models.data.text.curriculum import StageSpec
from models.data.text.dataset import ALL, TextData, open_text
from models.data.text.mix import largest_share, quotas
from models.data.text.records import Record, group_of
from models.data.text.split import split
from suites.known_failures.cognate_data import open_dropping, stage_dropping, validation_is_training

SMALL: dict[str, object] = {"records": 150, "val_records": 20, "operations": 2}


@pytest.fixture(scope="module")
def data() -> TextData:
    return open_text(SMALL, seed=0)


def record(number: int, question: str, split: str = "", dataset: str = "s") -> Record:
    return Record(dataset, str(number), question, "a", split=split)


def test_planted_duplicates_are_removed_from_training() -> None:
    train = [record(n, f"Where is place {n}?", "train") for n in range(20)]
    held = [record(n, f"Where is town {n}?", "test") for n in range(5)]
    planted = [
        record(90, "where is   TOWN 3", "train"),
        record(91, "Where is town 4 ?", "train", dataset="other"),
        record(92, "Where is sea 1?", "test", dataset="other"),
    ]
    parts = split([*train, *held, *planted], fraction=0.1, val_records=3)
    assert parts.removed == 2
    assert parts.train == train
    assert sum(each.dataset == "s" for each in parts.validation) == 3
    assert "2 training records removed: the same question is held out" in parts.notes


def test_a_set_without_a_split_is_split_by_question() -> None:
    records = [record(n, f"Where is place {n % 100}?", "val") for n in range(300)]
    parts = split(records, fraction=0.2, val_records=1000)
    sides = [set(map(group_of, side)) for side in (parts.train, parts.validation)]
    assert not sides[0] & sides[1]
    assert len(parts.train) + len(parts.validation) == 300
    assert 30 <= len(parts.validation) <= 90
    assert parts == split(records, fraction=0.2, val_records=1000)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 500), min_size=1), st.floats(0.05, 1))
def test_quotas_keep_every_share_below_the_limit(counts: dict[str, int], share: float) -> None:
    kept = quotas(counts, share)
    assert kept.keys() == counts.keys()
    assert all(1 <= kept[name] <= counts[name] for name in counts)
    if len(counts) * share > 1:
        cap = max(kept.values())
        even = cap == min(counts.values())  # nothing more even can be had
        assert even or largest_share(kept) <= share + 1e-9
        assert all(kept[name] == min(counts[name], cap) for name in counts)
    else:
        assert len(set(kept.values())) == 1


def test_the_seeds_mix_is_balanced() -> None:
    seeds = {"gsm8k": 7473, "svamp": 700, "mbpp": 374, "arc_easy": 2251, "arc_challenge": 1119, "hellaswag": 10_000}
    assert largest_share(seeds) == pytest.approx(0.456, abs=1e-3)
    kept = quotas(seeds, 0.4)
    assert kept == {**seeds, "hellaswag": 7944}
    assert math.isnan(largest_share({}))


def test_stages_differ_by_difficulty_sets_and_limit(data: TextData) -> None:
    easy = data.stage(StageSpec("easy", 1, sets=("arithmetic",), max_difficulty=2))
    assert set(easy.records) == {"arithmetic"}
    assert easy.facts()["difficulty_max"] == 2
    everything = data.stage(ALL)
    assert everything.records == {"arithmetic": 150, "recall": 150, "code": 150}
    limited = data.stage(StageSpec("few", 1, limit=10))
    assert limited.records == {"arithmetic": 10, "recall": 10, "code": 10}
    assert len({easy.fingerprint, everything.fingerprint, limited.fingerprint}) == 3
    texts = {each.text for each in everything.tokens.corpus.records}
    assert {each.text for each in limited.tokens.corpus.records} <= texts


def test_a_stage_that_changes_nothing_is_said(data: TextData) -> None:
    specs = [StageSpec("a", 1, limit=5), StageSpec("b", 1), StageSpec("c", 2)]
    stages, notes = data.stages(specs)
    assert [stage.name for stage in stages] == ["a", "b", "c"]
    assert notes == ["stage 'c' trains on exactly the records of stage 'b': it changes nothing"]
    more = StageSpec("advanced", 4, sets=("arithmetic", "recall", "code", "proofs", "logic"))
    assert stage_dropping(data, more).fingerprint == stages[1].fingerprint


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (StageSpec("x", 1, sets=("recal",)), "curriculum stage 'x': sets: no data set 'recal' is open. Did you mean"),
        (StageSpec("x", 1, sets=()), "curriculum stage 'x': sets: names no data set. Known: arithmetic, code, recall"),
        (StageSpec("x", 1, max_difficulty=0.5), "no record of 'arithmetic' has difficulty at most 0.5; the least is 1"),
    ],
)
def test_a_stage_without_records_is_named(data: TextData, spec: StageSpec, said: str) -> None:
    with pytest.raises(InputError, match=said):
        data.stage(spec)


def test_fingerprints_follow_content(data: TextData) -> None:
    assert open_text(SMALL, seed=0).fingerprint == data.fingerprint
    seeded = open_text(SMALL, seed=1)
    assert seeded.fingerprint != data.fingerprint
    assert seeded.held.fingerprint == data.held.fingerprint
    assert seeded.tokenizer.digest == data.tokenizer.digest
    assert open_text({**SMALL, "tokenizer": "bytes"}, seed=0).fingerprint != data.fingerprint


def test_facts_are_measured(data: TextData) -> None:
    facts = data.facts()
    assert facts["sets"] == {"arithmetic": 150, "recall": 150, "code": 150}
    assert facts["train_records"] == 450
    assert facts["val_records"] == 60
    assert facts["val_overlap"] == 0.0
    assert facts["missing"] == []
    assert facts["largest_set_share"] == pytest.approx(1 / 3)
    assert facts["vocabulary"] == data.tokenizer.vocab_size
    texts = "".join(each.text for each in data.held.records)
    tokens = sum(len(data.tokenizer.encode(each.text)) for each in data.held.records)
    assert facts["bytes_per_token"] == pytest.approx(len(texts.encode()) / tokens, rel=0.01)
    assert isinstance(facts["loss_floor"], float)
    assert isinstance(facts["compressor_bits_per_byte"], float)
    floor_bits = facts["loss_floor"] / math.log(2) / data.bytes_per_token
    assert 0.05 < floor_bits < facts["compressor_bits_per_byte"] < 4  # a compressor needs more than the generator
    json.dumps(facts)


def test_what_is_not_known_is_absent(tmp_path: Path) -> None:
    rows = [{"question": f"Where is place {n}?", "answer": "here"} for n in range(60)]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts = open_text({"source": "jsonl", "path": str(path), "vocabulary": 300}, seed=0).facts()
    assert "loss_floor" not in facts
    assert facts["sets"] == {"own": facts["train_records"]}


def test_records_longer_than_a_row_are_kept_out_and_counted(tmp_path: Path) -> None:
    rows = [{"question": f"Where is place {n}?", "answer": "far " * (n % 3) * 20 or "here"} for n in range(90)]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {"source": "jsonl", "path": str(path), "tokenizer": "bytes", "val_fraction": 0.3}
    data = open_text({**config, "length": 120}, seed=0)
    assert data.facts()["too_long"] == {"own": 30}
    assert "30 records of own are longer than a row and kept out" in data.notes
    assert len(data.train) + len(data.held) == 60
    with pytest.raises(InputError, match=r"run.data.length: set 'own' has no training record; the shortest record has"):
        open_text({**config, "length": 16}, seed=0)


def test_an_empty_side_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"question": "Where?", "answer": "here"}) + "\n")
    with pytest.raises(InputError, match=r"text data: .*the data has no (training|validation) record"):
        open_text({"source": "jsonl", "path": str(path), "tokenizer": "bytes"}, seed=0)


def test_questions_come_in_turn_and_their_own_answers_are_right(data: TextData) -> None:
    asked = data.questions(12)
    assert asked == data.questions(12)
    assert [question.dataset for question in asked[:3]] == ["arithmetic", "recall", "code"]
    assert len({question.prompt for question in asked}) == 12
    assert all(question.prompt.endswith("\nA:") for question in asked)
    assert all(exact(question.answer, f" {question.answer}") for question in asked)
    answers = {each.prompt: each.answer for each in data.held.records}
    assert all(answers[question.prompt] == question.answer for question in asked)
    assert not {each.prompt for each in data.questions(50, split="train")} & set(answers)
    with pytest.raises(ValueError, match="split must be 'val' or 'train'"):
        data.questions(3, split="test")


def test_validation_is_always_in_the_same_order(data: TextData) -> None:
    first, again = ([batch.tokens.tolist() for batch in data.validation(4)] for _ in range(2))
    assert first == again
    assert sum(batch.scored for batch in data.validation(4)) == data.facts()["val_tokens"]


def test_the_original_projects_faults_show_in_the_facts(data: TextData) -> None:
    leaked = validation_is_training(data)
    assert leaked.facts()["val_overlap"] == 1.0
    assert leaked.fingerprint != data.fingerprint
    config = {**SMALL, "sets": ["arithmetic", "proofs", "code"]}
    with pytest.raises(InputError, match="unknown set 'proofs'"):
        open_text(config, seed=0)
    dropped = open_dropping(config, seed=0)
    assert dropped.facts()["missing"] == ["proofs"]
    assert dropped.facts()["sets"] == {"arithmetic": 150, "code": 150}


def test_a_row_may_be_as_long_as_its_longest_record() -> None:
    config = parse_text_config({**SMALL, "tokenizer": "bytes", "length": 300})
    data = open_text(config.model_dump(exclude_unset=True), seed=0)
    longest = int(data.train.lengths.max())
    again = open_text({**SMALL, "tokenizer": "bytes", "length": longest}, seed=0)
    assert again.facts()["too_long"] == {}
