"""class_shares_agree: training and validation hold the classes in like shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, compared, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.checks.table._table import TableCheck, table_run


@dataclass(frozen=True, kw_only=True)
class ClassSharesAgree(TableCheck):
    """The class shares of training and validation differ by at most `max_distance` in total variation.

    Total variation is half of the summed absolute differences: 0 for equal shares, 1 for splits without a common class.
    What two draws of this size differ by chance is allowed on top.

    Why:
    A split that was not shuffled trains on some classes and validates on others; accuracy then says nothing.

    Usual causes:
    - A split by position of rows that are sorted by class.
    - One split was balanced by resampling and the other was not.

    Fix:
    Shuffle before the split, or split within each class (stratified).

    Healthy runs that must pass:
    Small validation sets; many rare classes; a validation set that is balanced on purpose: raise `max_distance`.

    Source:
    This project's list of checks: train and val statistics differ.
    """

    universal = True
    needs = ("train_rows", "val_rows", "train_shares", "val_shares")
    max_distance: float = 0.2

    def __post_init__(self) -> None:
        check_number("max_distance", self.max_distance, 0, 1)

    def compare(self, known: Mapping[str, Any]) -> Outcome:
        train, val = known["train_shares"], known["val_shares"]
        if not isinstance(train, Mapping) or not isinstance(val, Mapping):
            return not_recorded("the class shares are no tables of numbers")
        classes = sorted({*train, *val})
        distance = sum(abs(float(train.get(name, 0.0)) - float(val.get(name, 0.0))) for name in classes) / 2
        # The expected distance of two draws is at most half of the summed standard errors of their differences.
        sizes = 1 / int(known["train_rows"]) + 1 / int(known["val_rows"])
        chance = sum(math.sqrt(float(train.get(name, 0.0)) * sizes) for name in classes) / 2
        worst = max(classes, key=lambda name: abs(float(train.get(name, 0.0)) - float(val.get(name, 0.0))))
        return compared(
            Finding(
                code="class_shares_differ",
                measured=distance,
                bounds=(ceiling(min(1.0, self.max_distance + chance)),),
                evidence=(
                    Fact("by_chance", chance),
                    Fact("most_different_class", worst),
                    Fact("its_share_in_train", float(train.get(worst, 0.0))),
                    Fact("its_share_in_validation", float(val.get(worst, 0.0))),
                ),
                phrase="total variation between class shares {measured}",
            )
        )


def _shares(train: Mapping[str, float], val: Mapping[str, float], rows: int = 500) -> Any:
    return table_run(val_rows=rows, train_shares=dict(train), val_shares=dict(val))


_case = made.Cases(ClassSharesAgree())
PASSES = (
    _case("equal", _shares({"0": 0.5, "1": 0.5}, {"0": 0.5, "1": 0.5}), measured=0.0),
    _case("eleven_rows", _shares({"0": 0.5, "1": 0.5}, {"0": 0.8, "1": 0.2}, 11), "class_shares_differ"),
)
FAILS = (
    _case("other_classes", _shares({"0": 1.0}, {"1": 1.0}), "class_shares_differ", 1.0),
    _case("by_position", _shares({"0": 0.9, "1": 0.1}, {"0": 0.1, "1": 0.9}), measured=0.8),
    _case("nan", _shares({"0": float("nan"), "1": 0.5}, {"0": 0.5, "1": 0.5})),
)
