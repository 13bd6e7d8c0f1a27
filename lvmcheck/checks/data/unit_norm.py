"""unit_norm: stored vectors have length 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Finding, Outcome, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class UnitNorm(Gate):
    """At most `max_share` of the rows of any corpus are longer or shorter than 1 by more than 0.01.

    Every row is read; zero and non-finite rows have gates of their own.

    Why:
    Losses, baselines and the identity of validation loss and cosine hold for unit vectors. Vectors of length 3 weigh
    nine times as much in the MSE as vectors of length 1, and a mean of context is drawn to the longest chunk. The
    original project measured the lengths of its sets only on average: a mean of 1 says nothing about one row.

    Usual causes:
    - The encoder's raw output was stored, before it was divided by its length.
    - Vectors were averaged or interpolated and not normalised again.
    - Another encoder, which does not normalise, made some of the rows.

    Fix:
    Divide every vector by its length before saving.

    Healthy runs that must pass:
    float16 storage, whose rounding moves lengths by up to 3e-4.

    Source:
    docs/history.md: vectors of norm 1.000000 with deviations below 1e-6; a model whose outputs had norm 27.
    """

    max_share: float = 0.0

    def __post_init__(self) -> None:
        check_number("max_share", self.max_share, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        return settle([self._part(data, part) for part in data.parts()])

    def _part(self, data: DataFacts, part: str) -> Finding:
        lengths = {name: data.number(f"gate.{part}.norm_{name}") for name in ("low", "mean", "high", "deviation")}
        first = f"gate.{part}.first_off_norm_row"
        return at_most(
            "off_norm_rows",
            data.share(part, "off_norm_rows"),
            self.max_share,
            evidence=facts({"part": part, **lengths, **({"first_row": data.number(first)} if data.has(first) else {})}),
            phrase="{part}: share of rows off unit length {measured}",
        )


_case = made.Cases(UnitNorm())
PASSES = (_case("wikitext", cases.run()), _case("twin", cases.run(facts=cases.TWIN)))
FAILS = (
    _case(
        "raw_output",
        cases.run({"gate.data.off_norm_rows": 43_387, "gate.data.norm_mean": 3.1}),
        "off_norm_rows",
        1.0,
        mean=3.1,
    ),
    _case("one_row", cases.run({"gate.data.off_norm_rows": 1, "gate.data.first_off_norm_row": 9}), first_row=9),
    _case("not_a_number", cases.run({"gate.data.off_norm_rows": math.nan}), measured=math.nan),
)
