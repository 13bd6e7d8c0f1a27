"""vectors_finite: no stored vector holds a NaN or an infinity."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate, few_rows
from lvmcheck.checks.finding import Outcome
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class VectorsFinite(Gate):
    """At most `max_share` of the rows of any corpus (train, validation, OOD) hold a NaN or an infinity.

    Every row is read.

    Why:
    One NaN in a batch makes the loss NaN, every gradient NaN and the weights NaN for good, at a step that depends on
    the shuffle. Found beforehand it is one row to encode again.

    Usual causes:
    - The encoder overflowed in float16.
    - A division by the length of a zero vector.
    - A damaged or half-written file.

    Fix:
    Encode the rows again, or leave the windows that touch them out; the first such row is named.

    Healthy runs that must pass:
    Values near the limits of float32 whose squares overflow: they are finite (unit_norm refuses them).

    Source:
    docs/history.md: NaN and inf among the vectors of an OOD set.
    """

    max_share: float = 0.0

    def __post_init__(self) -> None:
        check_number("max_share", self.max_share, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        return few_rows(data, "nonfinite", self.max_share)


_case = made.Cases(VectorsFinite())
PASSES = (
    _case("wikitext", cases.run()),
    _case("twin", cases.run(facts=cases.TWIN)),
    made.case("exactly_at_the_bound", VectorsFinite(max_share=0.5), cases.run({"gate.data.nonfinite_rows": 21_693})),
)
FAILS = (
    _case(
        "nan_in_one_row",
        cases.run({"gate.data.nonfinite_rows": 1, "gate.data.first_nonfinite_row": 731}),
        "nonfinite_rows",
        1 / 43_387,
        part="data",
        first_row=731,
    ),
    _case("nan_in_ood_only", cases.run({"gate.ood.pydoc.nonfinite_rows": 3}), part="ood.pydoc", rows=3),
    _case("not_a_number", cases.run({"gate.data.nonfinite_rows": math.nan}), measured=math.nan),
)
