"""update_orthogonal: the update of a hidden matrix is nearly orthogonal, as Muon promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.check import Case, Check
from lvmcheck.checks import _cases as made
from lvmcheck.checks import _language_cases as language
from lvmcheck.checks._compare import at_most
from lvmcheck.checks._epochs import check_number
from lvmcheck.checks.optimizer._probed import every_probe
from lvmcheck.finding import Outcome
from lvmcheck.run import Run

KEY = "hidden/orthogonality_error"


@dataclass(frozen=True, kw_only=True)
class UpdateOrthogonal(Check):
    """The median orthogonality error of the hidden matrices' updates over the run's probes is at most `max_error`.

    The error is the mean |s - 1| over the singular values of one update, scaled to a mean of 1; probes of any name that
    state "hidden/orthogonality_error" count.

    Why:
    Muon's point is an update whose directions all have the same size. A wrong order of factors in Newton-Schulz is
    still a matrix of the right shape and norm, the loss still falls, and what is left is gradient descent with a
    momentum. The ancestors' iteration X <- 1.5 X - 0.5 X (X X^T) left singular values of .812, .328 and .0009.

    Usual causes:
    - Wrong operand order in Newton-Schulz, or coefficients of another iteration.
    - The result is rescaled by the norm of the gradient.
    - Too few iterations, or no normalisation before them: it does not converge.
    - The matrices are in the group of another rule.

    Fix:
    Feed the function a matrix of known singular values and print those of its result; five steps of the quintic
    (3.4445, -4.7750, 2.0315) put all of them into 0.7 to 1.2.

    Healthy runs that must pass:
    The error of the quintic itself; one bad probe at the first step, where the gradient has rank 1.

    Source:
    Jordan et al. 2024 (Muon); facts B3 and C 56 of the ancestors.
    """

    metric_fields = ()

    max_error: float = 0.35

    def __post_init__(self) -> None:
        check_number("max_error", self.max_error, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        what = "median orthogonality error of updates"
        return every_probe(run, KEY, lambda value, shown: at_most(what, value, self.max_error, shown))


def _run(*errors: float) -> Run:
    return language.probed("learning_rates", *({KEY: value} for value in errors))


_CHECK = UpdateOrthogonal()
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, _run(0.0, 0.0)),
    made.case("quintic", _CHECK, _run(0.13, 0.15, 0.12)),
    made.case("rank_1_at_the_first_step", _CHECK, _run(0.9, 0.14, 0.13)),
)
FAILS: Sequence[Case] = (
    made.case("wrong_order", _CHECK, _run(0.71, 0.74, 0.69), ("0.71",)),
    made.case("nan", _CHECK, _run(float("nan"), 0.1), ("NaN",)),
)
