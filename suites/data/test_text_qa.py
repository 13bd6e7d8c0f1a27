"""The six sets of the original project, where this machine has them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from models.data.text.answers import exact
from models.data.text.config import QA
from models.data.text.dataset import open_text
from models.data.text.records import Record
from models.data.text.sources import read_set

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "qa"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the six sets in ../shared/data/qa")


@pytest.fixture(scope="module")
def sets() -> dict[str, list[Record]]:
    return {name: read_set(FOLDER, name) for name in QA}


def test_the_counts_are_those_of_the_original_projects(sets: dict[str, list[Record]]) -> None:
    train = {name: sum(record.split == "train" for record in records) for name, records in sets.items()}
    assert sum(train[name] for name in ("gsm8k", "svamp", "mbpp", "arc_easy")) == 10_798
    assert train["arc_challenge"] == 1119
    assert len(sets["hellaswag"]) == 10_042


def test_every_final_answer_is_found_in_its_own_text(sets: dict[str, list[Record]]) -> None:
    for name, records in sets.items():
        right = sum(exact(record.final, f" {record.answer}") for record in records)
        assert right == len(records), name


def test_difficulty_spreads(sets: dict[str, list[Record]]) -> None:
    steps = Counter(record.difficulty for record in sets["gsm8k"])
    assert {1.0, 2.0, 4.0, 8.0} <= set(steps)
    assert {record.difficulty for record in sets["svamp"]} == {1.0, 2.0}


def test_small_sets_open_disjoint_and_say_what_was_removed(sets: dict[str, list[Record]]) -> None:
    config = {"source": "qa", "path": str(FOLDER), "sets": ["svamp", "arc_easy"], "length": 256, "vocabulary": 1024}
    data = open_text(config, seed=0)
    facts = data.facts()
    sides: dict[bool, list[tuple[str, ...]]] = {True: [], False: []}
    for record in sets["arc_easy"]:
        sides[record.split == "train"].append(tuple(re.findall(r"\w+", record.question.lower())))
    leaked = sum(words in set(sides[False]) for words in sides[True])
    assert leaked > 0  # the published split has the same question on both sides
    assert facts["train_removed_as_held_out"] == leaked
    assert facts["sets"] == {"svamp": 700, "arc_easy": 2251 - leaked}
    assert facts["val_overlap"] == 0.0
    assert data.bytes_per_token > 2
    assert isinstance(facts["compressor_bits_per_byte"], float)
    assert 1.5 < facts["compressor_bits_per_byte"] < 3.0
