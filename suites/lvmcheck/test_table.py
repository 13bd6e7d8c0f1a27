"""Rows and labels of a classifier, measured and judged: what is broken on purpose is found, what is sound is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.errors import InputError
from lvmcheck.run.start import record
from lvmcheck.run.table import measure

CHECKS = ("val_rows_unseen", "rows_shuffled", "class_shares_agree", "labels_aligned")


def blobs(count: int, seed: int, classes: int = 4) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Points around one centre a class, in random order."""
    generator = np.random.Generator(np.random.PCG64(seed))
    centres = np.random.Generator(np.random.PCG64(7)).standard_normal((classes, 8)) * 2
    labels = generator.integers(0, classes, count)
    return centres[labels] + generator.standard_normal((count, 8)), labels


def statuses(folder: Path, train: Any, val: Any) -> dict[str, Status]:
    with record(folder) as rec:
        rec.table(train, val)
    run = lvmcheck.load(folder)
    return {name: judge(load_check(name)(), run).status for name in CHECKS}


def test_sound_data_pass(tmp_path: Path) -> None:
    assert set(statuses(tmp_path / "run", blobs(600, 1), blobs(150, 2)).values()) == {Status.PASSED}


def test_a_loader_sized_tensor_is_taken(tmp_path: Path) -> None:
    rows, labels = blobs(200, 3)
    found = statuses(tmp_path / "run", (torch.tensor(rows), torch.tensor(labels)), torch.tensor(blobs(50, 4)[0]))
    assert found["val_rows_unseen"] is Status.PASSED
    assert found["class_shares_agree"] is Status.NOT_RECORDED, "validation was handed over without labels"


BROKEN = {
    "val_rows_unseen": (lambda x, y: ((x, y), (x[:100], y[:100]))),
    "rows_shuffled": (lambda x, y: ((x[np.argsort(y)], np.sort(y)), blobs(150, 2))),
    "class_shares_agree": (lambda x, y: ((x[y < 2], y[y < 2]), (x[y >= 2], y[y >= 2]))),
    "labels_aligned": (lambda x, y: ((x, np.random.Generator(np.random.PCG64(5)).permutation(y)), blobs(150, 2))),
}


@pytest.mark.parametrize("check", CHECKS)
def test_what_was_broken_is_found_and_nothing_else(tmp_path: Path, check: str) -> None:
    train, val = BROKEN[check](*blobs(600, 1))
    found = statuses(tmp_path / "run", train, val)
    expected = Status.WARNING if check == "labels_aligned" else Status.FAILED
    assert found[check] is expected
    assert [name for name in CHECKS if found[name] in (Status.FAILED, Status.WARNING)] == [check]


def test_labels_that_no_single_column_tells_are_aligned() -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    bits = generator.integers(0, 2, (400, 2))
    rows = bits + 0.1 * generator.standard_normal((400, 2))
    facts = measure((rows, bits[:, 0] ^ bits[:, 1]))
    assert facts["table.neighbour_accuracy"] > 0.95 > facts["table.shuffled_accuracy"]


@pytest.mark.parametrize(
    ("train", "val", "key"),
    [
        (np.empty((0, 3)), None, "train"),
        ((np.ones((3, 2)), np.ones(2, dtype=int)), None, "train"),
        ((np.ones((3, 2)), np.ones(3)), None, "train"),
        (np.ones((3, 2)), np.ones((3, 4)), "val"),
    ],
)
def test_other_data_are_refused(train: Any, val: Any, key: str) -> None:
    with pytest.raises(InputError) as caught:
        measure(train, val)
    assert caught.value.key == key
