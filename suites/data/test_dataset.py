"""The door: what a dataset promises whatever its source, and every way a twin is broken on purpose."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from models.data.dataset import Dataset, open_data
from models.data.recipes import BREAKAGES

SMALL = {"source": "twin", "sequences": 1500, "val_sequences": 800, "ood_sequences": 300, "dim": 64}


def twin(seed: int = 0, **changes: Any) -> Dataset:
    return open_data(SMALL | changes, seed=seed)


def first_rows(dataset: Dataset, epoch: int) -> np.ndarray:
    return np.array(dataset.train_epoch(epoch).corpus.vectors[:50])


def test_sizes_are_exact_and_facts_are_plain_json() -> None:
    dataset = twin()
    facts = dataset.facts()
    assert (len(dataset.train_epoch(1)), len(dataset.validation), len(dataset.ood["coherent"])) == (1500, 800, 300)
    assert (facts["train_windows"], facts["validation_windows"], facts["ood.coherent.windows"]) == (1500, 800, 300)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert {type(value) for value in facts.values()} <= {int, float, str, list}
    assert (dataset.dim, dataset.context, dataset.name, dataset.source) == (64, 5, "wiki_584k", "twin")


def test_the_baselines_stand_in_their_order() -> None:
    """On a sound twin: constant < persistence or near it < mean of context < best linear < optimum."""
    facts = twin(sequences=8000).facts()
    assert facts["constant_mean"] < facts["mean_of_context"] < facts["best_linear"] < facts["optimum"]
    assert facts["persistence"] < facts["mean_of_context"]
    assert facts["optimum"] > 0.57
    assert facts["optimum"] - facts["mean_of_context"] > 0.03
    assert facts["ood.coherent.mean_of_context"] > 0.60
    assert facts["leak"] == 0.0


def test_fresh_epochs_differ_and_come_back_the_same() -> None:
    dataset = twin()
    one, two = first_rows(dataset, 1), first_rows(dataset, 2)
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(first_rows(dataset, 1), one)
    np.testing.assert_array_equal(first_rows(twin(), 2), two)
    still = twin(fresh=False)
    np.testing.assert_array_equal(first_rows(still, 1), first_rows(still, 7))
    with pytest.raises(ValueError, match="count from 1"):
        dataset.train_epoch(0)
    assert still.train_epoch(2).corpus is still.train_epoch(1).corpus, "drawn once, and once on an accelerator"


def test_the_seed_draws_training_articles_and_nothing_else() -> None:
    one, other = twin(seed=0), twin(seed=1)
    assert not np.array_equal(first_rows(one, 1), first_rows(other, 1))
    np.testing.assert_array_equal(one.validation.corpus.vectors, other.validation.corpus.vectors)
    np.testing.assert_array_equal(one.ood["coherent"].corpus.vectors, other.ood["coherent"].corpus.vectors)


def test_fingerprint_follows_the_content() -> None:
    same = {twin().fingerprint, twin().fingerprint}
    assert len(same) == 1
    changed = {
        twin(seed=1).fingerprint,
        twin(val_sequences=799).fingerprint,
        twin(dtype="float16").fingerprint,
        twin(context=4).fingerprint,
        twin(broken=["nan"]).fingerprint,
        twin(broken=["other_encoder"]).fingerprint,
    }
    assert len(changed) == 6
    assert not changed & same


def test_float16_twin_has_the_same_figures() -> None:
    wide, half = twin().facts(), twin(dtype="float16").facts()
    assert half["mean_of_context"] == pytest.approx(wide["mean_of_context"], abs=1e-4)
    assert half["optimum"] == pytest.approx(wide["optimum"], abs=1e-3)


def test_every_breakage_says_so() -> None:
    for name, breakage in BREAKAGES.items():
        assert f"broken on purpose, {name}: {breakage.about}" in twin(broken=[name]).notes


def test_scrambled_flattens_the_lag_profile_and_loses_articles() -> None:
    sound, broken = twin().facts(), twin(broken=["scrambled"]).facts()
    assert sound["lag_profile"][0] - sound["lag_profile"][4] >= 0.08
    assert broken["lag_profile"][0] - broken["lag_profile"][4] < 0.05
    assert broken["mean_of_context"] < sound["mean_of_context"] - 0.03
    assert broken["train_articles"] < 0.6 * sound["train_articles"]
    assert "optimum" not in broken


def test_articles_joined_makes_windows_cross() -> None:
    broken = twin(broken=["articles_joined"])
    assert broken.facts()["train_articles"] == 1
    assert len(broken.train_epoch(1)) == 1500


def test_split_duplicated_is_measured_as_leak() -> None:
    dataset = twin(broken=["split_duplicated"])
    assert dataset.facts()["leak"] == pytest.approx(0.5, abs=0.01)
    assert len(dataset.validation) == 800
    train = {row.tobytes() for row in dataset.train_epoch(1).corpus.vectors}
    copied = [row.tobytes() in train for row in dataset.validation.batch(slice(None))[1]]
    assert sum(copied) == 400


def test_other_encoder_keeps_the_geometry_and_loses_the_space() -> None:
    sound, broken = twin(sequences=8000).facts(), twin(sequences=8000, broken=["other_encoder"]).facts()
    assert broken["ood.coherent.mean_of_context"] == pytest.approx(sound["ood.coherent.mean_of_context"], abs=1e-4)
    assert abs(broken["ood.coherent.constant_mean"]) < 0.3
    assert broken["ood.coherent.best_linear"] < sound["ood.coherent.best_linear"] - 0.1
    assert broken["validation_windows"] == sound["validation_windows"]
    assert "ood.coherent.optimum" not in broken


def test_zero_and_nan_rows_are_counted_and_do_not_hide_the_rest() -> None:
    zero, nan = twin(broken=["zero_vectors"]).facts(), twin(broken=["nan"]).facts()
    assert zero["train_zero_chunks"] >= 25
    assert zero["train_nonfinite_chunks"] == 0
    assert nan["train_nonfinite_chunks"] >= 1
    assert nan["validation_nonfinite_chunks"] >= 1
    assert nan["mean_of_context"] > 0.5
    assert np.isnan(twin(broken=["nan"]).train_epoch(1).corpus.vectors).any()


def test_data_all_of_nan_have_no_figures_instead_of_zeros() -> None:
    from models.data.figures import measure

    dataset = twin()
    dataset.validation.corpus.vectors[:] = np.nan
    facts = measure(dataset.train_epoch(1), dataset.validation, {}, {})
    assert facts["validation_nonfinite_chunks"] == facts["validation_chunks"]
    assert not {"mean_of_context", "best_linear", "lag_profile"} & set(facts)
