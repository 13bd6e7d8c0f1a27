"""labels_aligned: rows that are alike have one label more often than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, not_applicable, passed, warning
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared.epochs import check_count
from lvmcheck.checks.table._table import TableCheck, table_run


@dataclass(frozen=True, kw_only=True)
class LabelsAligned(TableCheck):
    """The nearest row's label is right more often than for each of 20 shuffles of the labels.

    Rows are compared after a random projection; at least `min_rows` rows with at least two classes are needed. It
    warns and never fails: labels that depend on fine structure (images, text) may not show in distances.

    Why:
    Inputs and labels that were shuffled apart train to the share of the commonest class, with a loss that looks like a
    hard problem.

    Usual causes:
    - Rows were permuted and labels were not, or with another random seed.
    - A filter dropped rows from one of the two; labels are shifted by one.
    - Labels of another file or fold.

    Fix:
    Keep inputs and labels in one object through every filter and permutation; look at ten rows with their labels.

    Healthy runs that must pass:
    Unbalanced classes; few rows; inputs whose classes distances do not separate (it only warns).

    Source:
    This project's list of checks: label_alignment, permutation test against 20 shuffles.
    """

    universal = True
    needs = ("neighbour_accuracy", "shuffled_accuracy", "neighbour_rows", "train_shares")
    min_rows: int = 50

    def __post_init__(self) -> None:
        check_count("min_rows", self.min_rows, 2)

    def compare(self, known: Mapping[str, Any]) -> Outcome:
        rows, accuracy, chance = (
            int(known["neighbour_rows"]),
            float(known["neighbour_accuracy"]),
            float(known["shuffled_accuracy"]),
        )
        if rows < self.min_rows or len(known["train_shares"]) < 2:
            return not_applicable(f"needs at least {self.min_rows} rows of two classes")
        finding = Finding(
            code="labels_by_chance",
            measured=accuracy,
            bounds=(floor(chance, "best of 20 shuffles"),),
            evidence=(Fact("rows", rows),),
            phrase="accuracy of the nearest row's label {measured}",
        )
        return passed(finding, evaluated=rows) if accuracy > chance else warning(finding, evaluated=rows)


def _known(accuracy: float, chance: float) -> Any:
    return table_run(
        neighbour_accuracy=accuracy, shuffled_accuracy=chance, neighbour_rows=1000, train_shares={"0": 0.5, "1": 0.5}
    )


_CHECK = LabelsAligned()
PASSES = (
    Case(name="perfect_oracle", check=_CHECK, run=_known(1.0, 0.55), measured=1.0),
    Case(name="a_weak_signal", check=_CHECK, run=_known(0.6, 0.55), code="labels_by_chance"),
)
FAILS = (
    Case(name="shuffled", check=_CHECK, run=_known(0.5, 0.53), code="labels_by_chance", status=Status.WARNING),
    Case(name="nan", check=_CHECK, run=_known(float("nan"), 0.53), status=Status.WARNING),
)
