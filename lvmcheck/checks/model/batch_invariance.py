"""batch_invariance: what a row gets does not depend on the rows beside it."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import Numbers, at_most, each_evaluation
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.run.events import Evaluation
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class BatchInvariance(Check):
    """A row evaluated alone and among others, and among fewer others, gives the same logits to `tolerance`.

    The trainer reports the evaluation "batch_invariance" with max_difference, the largest absolute difference of a
    logit in evaluation mode.

    Why:
    Rows of a batch are independent questions. A model that mixes them gives an answer that depends on who else asks,
    is validated at one batch size and used at another. The memory of the original project's language model was averaged
    over the batch; the shape of a saved buffer even held the size of the last batch of the epoch.

    Usual causes:
    - A memory or a statistic averaged over the batch (batch normalisation in train mode).
    - A reshape that mixes the axes of batch and time.
    - Padding that is attended to: the longest row of the batch decides how much of it there is.
    - A capacity shared by the batch, as in a mixture of experts.

    Fix:
    Perturb row 1 and find the first block whose output changes in row 0. Keep state per sequence, and mask padding.

    Healthy runs that must pass:
    Differences of float32 kernels chosen by batch size (1e-6 to 1e-5).

    Source:
    history 9 (memory_state [2, 1, 160] in a checkpoint: 10,798 mod 4 = 2 rows).
    """

    metric_fields = ()

    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        return each_evaluation(run, "batch_invariance", self._compare, "no row was evaluated alone and among others")

    def _compare(self, event: Evaluation) -> list[Finding]:
        difference = Numbers(event.metrics).number("max_difference")
        phrase = "logits of a row alone and among other rows differ by {measured}"
        return [at_most("rows_depend_on_each_other", difference, self.tolerance, phrase=phrase)]


def _run(difference: float) -> Run:
    return language.evaluated("batch_invariance", {"max_difference": difference})


_case = made.Cases(BatchInvariance())
PASSES = (_case("perfect_oracle", _run(0.0)), _case("another_kernel_for_another_size", _run(7.6e-6)))
FAILS = (
    _case("memory_is_the_mean_over_the_batch", _run(0.018), "rows_depend_on_each_other", 0.018),
    _case("padding_is_attended_to", _run(0.5)),
    _case("nan", _run(float("nan")), measured=float("nan")),
)
