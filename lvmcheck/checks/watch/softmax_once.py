"""softmax_once: the loss is given the form of output that it expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, ceiling
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch

SAME, PLAIN = 0.9999, 0.995


@dataclass(frozen=True, kw_only=True)
class SoftmaxOnce(Watched):
    """The gradient that comes back to the output is not that of cross entropy over a softmax of it, nor that of a
    negative probability without a log: a cosine of more than 0.9999 to one of these forms, with less than 0.995
    to that of cross entropy, in two measured steps in a row.

    Why:
    cross_entropy applies softmax itself. Over probabilities its loss cannot fall below ln(e + C - 1) - 1, gradients
    are small, and accuracy is often good enough not to be noticed.

    Usual causes:
    - The model ends with softmax, and the loss is cross_entropy.
    - nll_loss is given probabilities in place of their logs.

    Fix:
    Give cross_entropy the logits; give nll_loss log_softmax of them.

    Healthy runs that must pass:
    Cross entropy with class weights, label smoothing or ignored targets; log-probabilities with nll_loss;
    distillation.

    Source:
    Issue 15.
    """

    universal = True
    event = "loss_form"
    streak = 2

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        plain = of.get("cross_entropy", float("nan"))
        twice, no_log = of.get("softmax_twice", float("nan")), of.get("no_log", float("nan"))
        if twice != twice and no_log != no_log:
            return None
        worse = max(twice, no_log)
        # A gradient that fits cross entropy, or no form at all, is none of these.
        return Finding(
            code="softmax_twice" if twice >= no_log else "no_log",
            measured=worse if plain < PLAIN else min(worse, SAME),
            bounds=(ceiling(SAME),),
            step=event.step,
            evidence=(Fact("cosine_with_cross_entropy", plain), Fact("classes", of.get("classes"))),
            phrase="gradient has cosine {measured} with a softmax too many"
            if twice >= no_log
            else "gradient has cosine {measured} with a probability without log",
        )


_CHECK = SoftmaxOnce()
_PLAIN = {"cross_entropy": 1.0, "softmax_twice": 0.9, "no_log": 0.8, "classes": 8.0}
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, case_run("loss_form", [_PLAIN] * 3)),
    made.case("another_loss", _CHECK, case_run("loss_form", [{**_PLAIN, "cross_entropy": 0.3}] * 3)),
    made.case("all_alike_at_first", _CHECK, case_run("loss_form", [{**_PLAIN, "softmax_twice": 0.99999}] * 3)),
)
_TWICE = {**_PLAIN, "cross_entropy": 0.97, "softmax_twice": 1.0}
FAILS: Sequence[Case] = (
    made.case(
        "softmax_before_cross_entropy", _CHECK, case_run("loss_form", [_TWICE] * 2, over=False), "softmax_twice", 1.0
    ),
    made.case(
        "no_log", _CHECK, case_run("loss_form", [{**_TWICE, "softmax_twice": 0.9, "no_log": 1.0}] * 2), "no_log", 1.0
    ),
)
