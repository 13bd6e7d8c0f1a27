"""reconstruction_floor: predicted vectors, turned back into text, are nearer to the next chunk than a mean is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lvmcheck.checks.finding import Finding, Outcome, facts, not_applicable
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import Numbers, at_least, at_most, each_evaluation
from lvmcheck.checks.shared.epochs import check_count, check_number
from lvmcheck.errors import BadValueError, nearest
from lvmcheck.run.events import Data, Evaluation
from lvmcheck.run.view import Run

MOST = {"mrr": 1.0, "recall_at_10": 1.0, "exact_match": 1.0, "text_cosine": 1.0, "cosine": 1.0, "bleu": 100.0}
"""Figures of the evaluation "reconstruction" that are better when higher, and the most each can be."""
BASELINE = "baseline_"


@dataclass(frozen=True, kw_only=True)
class ReconstructionFloor(Check):
    """In every evaluation "reconstruction" `metric` is at least `floor`: a number, or "baseline" plus `margin`.

    A predicted vector is turned into the text of a bank whose vector is nearest to it (its own context left out). `mrr`
    is the mean of 1 / rank of the true next chunk among the bank, `recall_at_10` the share of ranks up to 10,
    `exact_match` the share of texts that are the true ones, `text_cosine` the cosine of the text's vector with the true
    one, `cosine` that of the prediction itself, and `bleu` that of the texts (0 to 100). "baseline" is the same figure
    with the mean of the context in place of the prediction. There must be at least `min_queries`.

    Why:
    A cosine of 0.56 says nothing to a reader. Predictions that lie in the mean direction of all targets have a high
    cosine with each of them and name none: only the rank among other chunks shows whether the next one is meant.

    Usual causes:
    - The prediction is little more than the mean direction of the corpus: a high cosine, the rank of chance.
    - The model predicts less than the mean of its own context does.
    - Texts and vectors do not belong together row by row (texts_aligned), or come from another encoder.

    Fix:
    Read the reconstructed texts (`python -m models reconstruct RUN --data FOLDER`). Compare `cosine` with `mrr`: where
    the first is above its baseline and the second is not, subtract the mean direction and judge what is left.

    Healthy runs that must pass:
    A figure exactly at the floor; a bank in which no text is ever hit, while ranks are better than the baseline's.

    Source:
    seed document of 13 October ("evaluate vec2text reconstruction quality"), which was never measured.
    """

    metric_fields = ()

    metric: str = "mrr"
    floor: float | Literal["baseline"] = "baseline"
    margin: float = 0.0
    min_queries: int = 20

    def __post_init__(self) -> None:
        if self.metric not in MOST:
            raise BadValueError("metric", f"no such figure {self.metric!r}", nearest(self.metric, MOST))
        if isinstance(self.floor, str):
            if self.floor != "baseline":
                raise BadValueError("floor", f"expected a number or 'baseline', got {self.floor!r}")
        else:
            check_number("floor", self.floor, 0.0, MOST[self.metric])
        check_number("margin", self.margin, 0.0, MOST[self.metric])
        check_count("min_queries", self.min_queries)

    def detail(self) -> str:
        return self.metric

    def judge(self, run: Run) -> Outcome:
        if run.of(Data) and not run.facts.get("texts"):
            return not_applicable("the data have no texts beside their vectors (data.texts)")
        return each_evaluation(run, "reconstruction", self._compare, "no prediction was turned into text")

    def _compare(self, event: Evaluation) -> list[Finding]:
        known = Numbers(event.metrics)
        queries, value = known.number("queries"), known.number(self.metric)
        counts = facts(queries=queries, bank=known.number("bank"))
        enough = at_least("queries", queries, self.min_queries, phrase="{measured} queries", evidence=counts)
        whole = at_most("share", value, MOST[self.metric], metric=self.metric, evidence=counts)
        if isinstance(self.floor, str):
            baseline = known.number(BASELINE + self.metric)
            counts = (*counts, *facts(baseline=baseline))
            least = baseline + self.margin
        else:
            least = self.floor + self.margin
        words = "{metric} {measured} over {queries} texts, among {bank}"
        found = at_least("below", value, least, metric=self.metric, evidence=counts, phrase=words)
        return [enough, found] if enough.met and whole.met else [enough, whole]


def _run(queries: float = 512.0, texts: int = 43_387, **metrics: float) -> Run:
    run = made.with_facts(made.val_run(made.AMN_584K_VAL), {"texts": texts} if texts else {})
    return run.extended([Evaluation(name="reconstruction", metrics={"queries": queries, "bank": 43_387.0, **metrics})])


_case = made.Cases(ReconstructionFloor())
PASSES = (
    _case("perfect_oracle", _run(mrr=1.0, baseline_mrr=0.04)),
    _case("above_the_mean_of_the_context", _run(mrr=0.062, baseline_mrr=0.048), "below", 0.062),
    _case("exactly_at_the_baseline", _run(mrr=0.05, baseline_mrr=0.05)),
    _case(
        "no_text_is_hit_and_ranks_are_better",
        _run(mrr=0.01, baseline_mrr=0.008, exact_match=0.0, baseline_exact_match=0.0),
    ),
    made.case("a_number", ReconstructionFloor(metric="bleu", floor=2.0), _run(bleu=2.4)),
)
FAILS = (
    _case("the_mean_direction_names_nothing", _run(mrr=0.0004, baseline_mrr=0.048), "below", 0.0004),
    made.case("below_by_the_margin", ReconstructionFloor(margin=0.01), _run(mrr=0.052, baseline_mrr=0.048)),
    _case("too_few", _run(queries=3, mrr=1.0, baseline_mrr=0.1), "queries", 3.0),
    _case("a_percentage", _run(mrr=6.2, baseline_mrr=4.8), "share", 6.2),
    _case("nan", _run(mrr=float("nan"), baseline_mrr=0.048), measured=float("nan")),
)
