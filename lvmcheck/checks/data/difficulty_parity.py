"""difficulty_parity: train and validation are equally predictable before anything is trained."""

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
class DifficultyParity(Gate):
    """Adjacent cosine and mean-of-context cosine of train and validation differ by at most `max_difference`.

    Each is measured on at most 4,000 windows drawn at random. Nothing is fitted, so neither side has an advantage.

    Why:
    Where validation text is easier than training text, a model seems to generalise; where it is harder, it seems to
    overfit. A validation region of the original project had an adjacent cosine of .59 against .47 in training, and an
    OOD set at .73 was reported as a "generalisation boost".

    Usual causes:
    - Validation is a contiguous region of the file, and the file is sorted by source or subject.
    - Too few articles are held out.
    - Training rows are in another order than validation rows.

    Fix:
    Draw the held-out articles at random over the whole corpus, and enough of them.

    Healthy runs that must pass:
    61 articles of WikiText drawn at random: 0.019 apart, by chance alone.

    Source:
    docs/history.md: the comparison of the splits, and the fix that followed.
    """

    max_difference: float = 0.05

    def __post_init__(self) -> None:
        check_number("max_difference", self.max_difference, 0, 2)

    def gate(self, data: DataFacts) -> Outcome:
        data.parts()
        adjacent = [data.numbers(f"gate.{part}.lag_profile")[0] for part in ("train", "validation")]
        context = [data.number(f"gate.{part}.mean_of_context") for part in ("train", "validation")]
        return settle([self._compare("adjacent_cosine", *adjacent), self._compare("mean_of_context", *context)])

    def _compare(self, code: str, train: float, validation: float) -> Finding:
        return at_most(
            code,
            abs(validation - train),
            self.max_difference,
            evidence=facts(train=train, validation=validation),
            phrase="{code} of train {train} and validation {validation} differ by {measured}",
        )


_case = made.Cases(DifficultyParity())
PASSES = (_case("wikitext", cases.run()), _case("twin", cases.run(facts=cases.TWIN)))
FAILS = (
    _case(
        "easier_region",
        cases.run({"gate.validation.lag_profile": [0.59, 0.52, 0.48, 0.46, 0.44]}),
        "adjacent_cosine",
        0.1286,
        train=0.4614,
        validation=0.59,
    ),
    _case("harder", cases.run({"gate.validation.mean_of_context": 0.40}), "mean_of_context"),
    _case("not_a_number", cases.run({"gate.validation.mean_of_context": math.nan}), measured=math.nan),
)
