"""val_rows_unseen: validation rows do not stand in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, compared
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.checks.table._table import TableCheck, table_run


@dataclass(frozen=True, kw_only=True)
class ValRowsUnseen(TableCheck):
    """At most `max_share` of the validation rows stand bit for bit in training.

    Why:
    A model that has seen its validation rows looks better than it is, and nothing in its curves shows it.

    Usual causes:
    - The split was drawn after rows were repeated (augmentation, oversampling, windows that overlap).
    - The same file was read for both splits.

    Fix:
    Remove repeated rows before the split, and split by group (patient, article, user) where rows belong together.

    Healthy runs that must pass:
    Small discrete inputs, where two rows are equal by chance: raise `max_share`.

    Source:
    This project's list of checks: leakage, exact row hash.
    """

    universal = True
    needs = ("val_rows", "val_rows_in_train")
    max_share: float = 0.01

    def __post_init__(self) -> None:
        check_number("max_share", self.max_share, 0, 1)

    def compare(self, known: Mapping[str, Any]) -> Outcome:
        return compared(
            Finding(
                code="val_rows_in_train",
                measured=float(known["val_rows_in_train"]),
                bounds=(ceiling(self.max_share),),
                evidence=(Fact("val_rows", int(known["val_rows"])),),
                phrase="share of {val_rows} validation rows that are also training rows {measured}",
            )
        )


_case = made.Cases(ValRowsUnseen())
PASSES = (
    _case("perfect_oracle", table_run(val_rows=200, val_rows_in_train=0.0), measured=0.0),
    _case("one_by_chance", table_run(val_rows=200, val_rows_in_train=0.005), "val_rows_in_train"),
)
FAILS = (
    _case("same_file", table_run(val_rows=200, val_rows_in_train=1.0), "val_rows_in_train", 1.0),
    _case("some", table_run(val_rows=200, val_rows_in_train=0.05), val_rows=200),
    _case("nan", table_run(val_rows=200, val_rows_in_train=float("nan"))),
)
