"""rows_shuffled: training rows are not sorted by label."""

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
class RowsShuffled(TableCheck):
    """Consecutive rows have one label at most `max_excess` more often than shuffled rows would.

    The excess is (share - chance) / (1 - chance): 0 for shuffled rows, near 1 for rows sorted by label. It is measured
    on the rows in the order in which they were handed over; a loader with shuffle=True mends it.

    Why:
    A batch of one class pulls the model to that class; batch normalisation sees one class at a time; the loss falls and
    jumps in every epoch.

    Usual causes:
    - Folders were read one after another and the loader does not shuffle.
    - Rows were concatenated by class, or exported from a database in the order of the label.

    Fix:
    DataLoader(..., shuffle=True), or permute rows and labels together before the split.

    Healthy runs that must pass:
    Unbalanced classes, where equal neighbours are common by chance; time series with slow labels: raise `max_excess`.

    Source:
    This project's list of checks: shuffle, sorted by label.
    """

    universal = True
    needs = ("equal_neighbours", "equal_by_chance")
    max_excess: float = 0.5

    def __post_init__(self) -> None:
        check_number("max_excess", self.max_excess, 0, 1)

    def compare(self, known: Mapping[str, Any]) -> Outcome:
        share, chance = float(known["equal_neighbours"]), float(known["equal_by_chance"])
        excess = 0.0 if chance == 1 else (share - chance) / (1 - chance)
        return compared(
            Finding(
                code="sorted_by_label",
                measured=excess,
                bounds=(ceiling(self.max_excess),),
                evidence=(Fact("equal_neighbours", share), Fact("equal_by_chance", chance)),
                phrase="excess of neighbours with one label {measured}",
            )
        )


_case = made.Cases(RowsShuffled())
PASSES = (
    _case("shuffled", table_run(equal_neighbours=0.1, equal_by_chance=0.1), measured=0.0),
    _case("one_rare_class", table_run(equal_neighbours=0.97, equal_by_chance=0.96), "sorted_by_label"),
    _case("a_single_class", table_run(equal_neighbours=1.0, equal_by_chance=1.0), "sorted_by_label"),
)
FAILS = (
    _case("folder_by_folder", table_run(equal_neighbours=0.99, equal_by_chance=0.1), "sorted_by_label"),
    _case("sorted_two_classes", table_run(equal_neighbours=0.999, equal_by_chance=0.5), measured=0.998),
    _case("nan", table_run(equal_neighbours=float("nan"), equal_by_chance=0.5)),
)
