"""The cross table of models and sets: whose fault a low cosine is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError
from models.data.dataset import open_data
from models.data.store import Windows
from models.trainers.cross_table import BASELINE, cross_table

torch.set_num_threads(1)


class Mean(nn.Module):
    """The mean of the context, with a module that evaluation mode must reach."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.9)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x.mean(dim=1))


class Rotated(Mean):
    """Answers in another space: bad on every set."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flip(-1)


@pytest.fixture(scope="module")
def sets() -> dict[str, Windows]:
    config = {"source": "twin", "dim": 64, "sequences": 200, "val_sequences": 150, "ood_sequences": 100}
    data = open_data(config, seed=0)
    return {"validation": data.validation, **data.ood}


def test_a_row_shows_a_bad_model_and_the_baseline_how_hard_a_set_is(sets: dict[str, Windows]) -> None:
    models = {"mean": Mean(), "rotated": Rotated()}
    table = cross_table(models, sets, batch_size=64)
    assert table.cosines["mean"] == pytest.approx(table.cosines[BASELINE], abs=1e-6), "dropout is off"
    assert models["mean"].training, "and on again"
    assert table.cosines[BASELINE]["coherent"] > table.cosines[BASELINE]["validation"] + 0.1
    assert all(abs(value) < 1e-6 for value in table.margins()["mean"].values())
    assert all(value < -0.3 for value in table.margins()["rotated"].values())
    assert BASELINE not in table.margins()
    said = table.lines()
    assert said[0] == "| model | validation | coherent |"
    assert len(said) == 2 + 3
    assert f"{table.cosines['rotated']['coherent']:.4f}" in said[3]


def test_nothing_to_compare_is_said(sets: dict[str, Windows]) -> None:
    with pytest.raises(InputError, match="expected at least one set"):
        cross_table({"mean": Mean()}, {})
    with pytest.raises(InputError, match="may not be called 'mean_of_context'"):
        cross_table({BASELINE: Mean()}, sets)
