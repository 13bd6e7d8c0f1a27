"""update_orthogonal: the update of a hidden matrix is nearly orthogonal, as Muon promises."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Outcome, not_applicable
from lvmcheck.checks.optimizer._probed import at_end, median, setting, stated
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.run.view import Run

KEY, GRADIENT = "hidden/orthogonality_error", "hidden/gradient_orthogonality_error"


@dataclass(frozen=True, kw_only=True)
class UpdateOrthogonal(Check):
    """Updates of hidden matrices are far more orthogonal than their gradients, by their medians over the run's probes.

    The orthogonality error is the mean |s / mean(s) - 1| over the singular values s of a matrix. That of the update
    ("hidden/orthogonality_error") is at most `max_error`, and at most `max_ratio` of that of the gradient
    ("hidden/gradient_orthogonality_error"), where probes state it. Not applicable where the optimizer is AdamW.

    Why:
    Muon's point is an update whose directions all have the same size. A wrong order of factors in Newton-Schulz is
    still a matrix of the right shape and norm, the loss still falls, and what is left is gradient descent with a
    momentum. The original project's iteration X <- 1.5 X - 0.5 X (X X^T) left singular values of .812, .328 and
    .0009.

    Usual causes:
    - Wrong operand order in Newton-Schulz, or coefficients of another iteration.
    - The result is rescaled by the norm of the gradient.
    - Too few iterations, or no normalisation before them: it does not converge.
    - The matrices are in the group of another rule.

    Fix:
    Feed the function a matrix of known singular values and print those of its result; five steps of the quintic
    (3.4445, -4.7750, 2.0315) put all of them into 0.7 to 1.2.

    Healthy runs that must pass:
    The error of the quintic itself: 0.58 at step 5, where gradients have few directions, 0.2 to 0.3 later, 0.15 to 0.40
    of that of the gradient (wrong order: 1.05 to 1.48, 0.76 to 0.96).

    Source:
    Jordan et al. 2024 (Muon); history 11.
    """

    metric_fields = ()

    max_error: float = 0.8
    max_ratio: float = 0.6

    def __post_init__(self) -> None:
        check_number("max_error", self.max_error, 0.0)
        check_number("max_ratio", self.max_ratio, 0.0)

    def judge(self, run: Run) -> Outcome:
        if setting(run, "kind") == "adamw":
            return not_applicable("the optimizer is AdamW: its updates are not meant to be orthogonal")
        found = at_end(run, KEY)
        if isinstance(found, Outcome):
            return found
        values, shown = found
        raw = stated(run, GRADIENT)
        shown += (Fact("median_error_of_gradients", median(raw)),) if raw else ()
        phrase = "median orthogonality error of updates {measured}"
        findings = [at_most("error_of_updates", median(values), self.max_error, evidence=shown, phrase=phrase)]
        if raw:
            scale = median(raw)
            ratio = median(values) / scale if scale > 0 or math.isnan(scale) else 0.0
            phrase = "orthogonality error of updates is {measured} times that of gradients"
            findings.append(at_most("ratio_to_gradients", ratio, self.max_ratio, evidence=shown, phrase=phrase))
        return settle(findings, evaluated=len(values))


def _run(*errors: float, raw: float | None = 1.3, kind: str = "mugrokfast") -> Run:
    gradient = {} if raw is None else {GRADIENT: raw}
    probes = ({KEY: value, **gradient} for value in errors)
    return language.probed("learning_rates", *probes, config={"optimizer": {"kind": kind}})


_case = made.Cases(UpdateOrthogonal())
PASSES = (
    _case("perfect_oracle", _run(0.0, 0.0)),
    _case("quintic", _run(0.58, 0.57, 0.40, 0.29, 0.22)),
    _case("first_probes_alone", _run(0.58, 0.57)),
    _case("gradient_not_probed", _run(0.2, 0.2, raw=None)),
)
FAILS = (
    _case("wrong_order", _run(1.05, 1.21, 1.48), "error_of_updates", 1.21, median_error_of_gradients=1.3),
    _case("wrong_order_of_a_full_gradient", _run(0.5, 0.52, raw=0.54), "ratio_to_gradients"),
    _case("wrong_order_gradient_not_probed", _run(1.1, 1.2, raw=None)),
    _case("nan", _run(float("nan"), 0.1), measured=math.nan),
)
