"""data_fact: a recorded fact about the data lies within bounds, before a single step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling, floor
from lvmcheck.checks.data._gate import no_data_yet
from lvmcheck.checks.finding import Finding, Outcome, compared, facts, not_recorded
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.errors import BadValueError, nearest
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

_PHRASE = "{fact} of the data {measured}"


@dataclass(frozen=True, kw_only=True)
class DataFact(Check):
    """A number that the run records about its data is at least `at_least` and at most `at_most` (one may be left out).

    Facts of the vector trainer: sizes (train_windows, validation_windows, train_articles), leak (share of validation
    targets inside training windows), constant_mean, persistence (adjacent cosine), mean_of_context, best_linear,
    optimum where it is known, and the same for every OOD set (ood.NAME.persistence).

    Why:
    The 790k corpus had been built in another order than the 584k one: its adjacent cosine was .34 instead of .48, a
    figure that takes a minute to compute. Three trainings and thirteen documents looked at the model instead.

    Usual causes:
    - The rows are sorted by a key with ties (a bulk-insert time) or grouped under a null id: adjacent cosine falls.
    - Windows were split at random, so that validation targets occur in training windows: leak is above 0.
    - Another file lies at the same path: sizes differ.
    - Vectors come from another encoder: the constant mean differs.

    Fix:
    Look at the data before the model: rebuild the file in article order, split by article, check the sizes.

    Healthy runs that must pass:
    A value exactly at the bound.

    Source:
    The adjacent-cosine tables of the two corpora; amn_790k_complete_diagnosis, pre-flight 2 (726k sequences).
    """

    metric_fields = ()

    fact: str
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise BadValueError("at_least", "expected at_least, at_most or both, got neither")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise BadValueError("at_least", f"expected at most at_most = {self.at_most:g}, got {self.at_least:g}")

    def detail(self) -> str:
        return self.fact

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def judge(self, run: Run) -> Outcome:
        absent = no_data_yet(run)
        if absent is not None:
            return absent
        value = run.facts.get(self.fact)
        if isinstance(value, bool) or not isinstance(value, int | float):
            known = [name for name, fact in run.facts.items() if isinstance(fact, int | float)]
            return not_recorded(f"the data state no number {self.fact!r}. {nearest(self.fact, known)}")
        low = () if self.at_least is None else (floor(self.at_least),)
        high = () if self.at_most is None else (ceiling(self.at_most),)
        return compared(
            Finding(
                code="data_fact", measured=value, bounds=(*low, *high), evidence=facts(fact=self.fact), phrase=_PHRASE
            )
        )


def _run(**values: ev.Value) -> Run:
    return Run(events=(ev.Data(name="corpus", fingerprint="0", facts=values),))


_ORDER = DataFact(fact="persistence", at_least=0.40)
PASSES = (
    made.case("corpus_584k_in_order", _ORDER, _run(persistence=0.4842)),
    made.case("exactly_at_the_bound", DataFact(fact="leak", at_most=0.0), _run(leak=0.0)),
    made.case(
        "both_bounds", DataFact(fact="train_windows", at_least=726_014, at_most=726_014), _run(train_windows=726_014)
    ),
)
FAILS = (
    made.case("corpus_790k_scrambled", _ORDER, _run(persistence=0.33674), measured=0.33674),
    made.case("random_split", DataFact(fact="leak", at_most=0.0), _run(leak=1.0), "data_fact", 1.0),
    made.case("nan", _ORDER, _run(persistence=math.nan), measured=math.nan),
)
