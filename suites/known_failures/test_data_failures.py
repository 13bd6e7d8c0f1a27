"""Faults of data, each with its true cause first and beside it a healthy near twin of which none is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.shared.cases import MAMBA2_TRAIN, lines
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from
from models.data.dataset import open_data

SIZE = {"source": "twin", "sequences": 4000, "val_sequences": 1500, "ood_sequences": 0, "dim": 64}
MEMORISED = run_from({"train_cosine": MAMBA2_TRAIN, "val_cosine": lines(20, 0.0125, 0.0280, 0.0266)})
"""Train cosine rises to 0.5, validation cosine stays at 0.03: what validation in another space looks like, too."""
FAULTS = {
    "rows_leaked": "leaked_split",
    "article_leaked": "leaked_split",
    "shuffled_in_3": "order_scrambled",
    "shuffled_in_8": "order_scrambled",
    "shuffled_in_50": "order_scrambled",
    "blocks_of_3_moved": "order_scrambled",
    "blocks_of_8_moved": "order_scrambled",
    "ids_moved_along": "order_scrambled",
    "centred_validation": "validation_transformed",
    "rescaled_validation": "validation_transformed",
    "rotated_validation": "validation_transformed",
}
"""Fault of the twin: the cause that comes first."""


def facts(*broken: str) -> Mapping[str, ev.Value]:
    return open_data(SIZE | {"broken": list(broken)}, seed=0).facts()


def run(known: Mapping[str, ev.Value], curves: Sequence[ev.Event] = ()) -> Run:
    return Run(events=(ev.Data(name="twin", fingerprint="0", facts=known), *curves))


@pytest.mark.parametrize("name", FAULTS)
def test_the_true_cause_comes_first(name: str) -> None:
    known = facts(name)
    assert diagnose(run(known))[0].name == FAULTS[name]
    if FAULTS[name] == "validation_transformed":
        named = [found.name for found in diagnose(run(known, MEMORISED.events))]
        assert named[0] == "validation_transformed"


def test_the_healthy_twin_has_none_and_a_gap_of_its_own_is_memorisation() -> None:
    known = facts()
    assert diagnose(run(known)) == []
    assert diagnose(run(known, MEMORISED.events))[0].name == "memorisation"
