"""zero_vectors: no stored vector is all zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate, few_rows
from lvmcheck.checks.finding import Outcome
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class ZeroVectors(Gate):
    """At most `max_share` of the rows of any corpus (train, validation, OOD) are all zero.

    Every row is read.

    Why:
    A zero vector has no direction: its cosine with anything counts as 0, which lowers every metric by its share, and
    the mean of a context that holds one is of the wrong length. An exporter of the original project wrote zeros
    wherever the encoder had failed, and the model was blamed.

    Usual causes:
    - Failed requests to the encoder, written as zeros instead of being left out.
    - An array that was allocated larger than it was filled.

    Fix:
    Encode the rows again, or leave them out; the first such row is named.

    Healthy runs that must pass:
    Vectors with many zero dimensions that are not zero as a whole.

    Source:
    docs/history.md: an OOD set in which failed encodes became zero vectors.
    """

    max_share: float = 0.0

    def __post_init__(self) -> None:
        check_number("max_share", self.max_share, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        return few_rows(data, "zero", self.max_share)


_case = made.Cases(ZeroVectors())
PASSES = (_case("wikitext", cases.run()), _case("twin", cases.run(facts=cases.TWIN)))
FAILS = (
    _case(
        "failed_encodes",
        cases.run({"gate.ood.enwiki.zero_rows": 208, "gate.ood.enwiki.first_zero_row": 17}),
        "zero_rows",
        208 / 10_412,
        part="ood.enwiki",
        first_row=17,
    ),
    _case("one_row", cases.run({"gate.data.zero_rows": 1}), part="data", rows=1),
    _case("not_a_number", cases.run({"gate.data.zero_rows": math.nan}), measured=math.nan),
)
