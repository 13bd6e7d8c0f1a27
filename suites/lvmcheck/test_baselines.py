"""Trivial predictors of any task, against their plain definitions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lvmcheck
from lvmcheck.errors import InputError
from lvmcheck.run.baselines import baselines
from lvmcheck.run.start import record


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50))
def test_labels_are_scored_as_a_constant_prediction_scores_them(labels: list[int]) -> None:
    found = baselines(labels)
    shares = [labels.count(c) / len(labels) for c in set(labels)]
    assert found["classes"] == max(labels) + 1
    assert found["majority_share"] == pytest.approx(max(shares))
    assert found["prior_loss"] == pytest.approx(
        -sum(math.log(labels.count(y) / len(labels)) for y in labels) / len(labels)
    )
    assert found["prior_loss"] <= found["expected_loss"] + 1e-12


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_values_are_scored_as_their_mean_and_median_score_them(values: list[float]) -> None:
    found = baselines(values)
    mean = sum(values) / len(values)
    assert found["target_variance"] == pytest.approx(sum((v - mean) ** 2 for v in values) / len(values), abs=1e-6)
    assert found["target_mad"] <= math.sqrt(found["target_variance"]) + 1e-6


def test_a_text_and_a_series() -> None:
    text = baselines([0, 0, 1, 3], "tokens", classes=8)
    assert (text["vocabulary"], text["expected_loss"]) == (8, pytest.approx(math.log(8)))
    assert text["unigram_entropy"] == pytest.approx(1.0397, abs=1e-4)
    assert baselines([0.0, 1.0, 3.0], "series")["persistence_mse"] == pytest.approx(2.5)


HOLDERS: dict[str, Any] = {
    "list": [0, 1, 1],
    "array": np.array([0, 1, 1]),
    "tensor": torch.tensor([0, 1, 1]),
    "pairs": torch.utils.data.DataLoader([(torch.zeros(2), y) for y in (0, 1, 1)], batch_size=2),
    "mappings": iter([{"input_ids": [[1]], "labels": torch.tensor([0, 1])}, {"labels": torch.tensor([1, -100])}]),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_any_holder_of_targets_is_taken(holder: str) -> None:
    found = baselines(HOLDERS[holder])
    assert (found["classes"], found["majority_share"]) == (2, pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("targets", "options", "key"),
    [
        ([], {}, "targets"),
        (["a"], {}, "targets"),
        ([1.0, math.nan], {}, "targets"),
        ([0.5], {"kind": "classes"}, "targets"),
        ([-1, 2], {}, "targets"),
        ([-100], {}, "targets"),
        ([0, 5], {"classes": 3}, "classes"),
        ([0], {"kind": "labels"}, "kind"),
    ],
)
def test_other_targets_are_refused(targets: Any, options: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as caught:
        baselines(targets, **options)
    assert caught.value.key == key


def test_batches_without_targets_are_refused() -> None:
    with pytest.raises(InputError, match="batch 1"):
        baselines(iter([{"x": 1}]))


def test_they_are_recorded_in_one_line(tmp_path: Path) -> None:
    with record(tmp_path / "run") as rec:
        rec.baselines(torch.tensor([0, 1, 2, 2]))
    facts = lvmcheck.load(tmp_path / "run").facts
    assert (facts["classes"], facts["majority_share"]) == (3, 0.5)
