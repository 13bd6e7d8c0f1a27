"""softmax_once: the loss is given the form of output that it expects."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

SAME, NEARER = 3e-3, 10
FORMS = {
    "softmax_twice": "softmax is applied twice: the gradient is that of cross entropy over probabilities",
    "no_log": "probabilities have no log: the gradient is that of their negative mean",
}


@dataclass(frozen=True, kw_only=True)
class SoftmaxOnce(Watched):
    """The gradient that comes back to the output is not that of cross entropy over a softmax of it, nor that of a
    negative probability without a log: within 0.003 of one of these forms (the sine of the angle between them), and
    ten times nearer to it than to cross entropy, in two measured steps in a row.

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
    """

    event = "loss_form"
    streak = 2

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        forms = {code: of[code] for code in FORMS if code in of}
        if not forms:
            return None
        code = min(forms, key=lambda code: math.inf if math.isnan(forms[code]) else forms[code])
        plain = of.get("unweighted" if code == "no_log" else "cross_entropy", math.nan)
        measured = math.nan if any(map(math.isnan, forms.values())) else forms[code]
        bound = SAME if math.isnan(plain) else min(SAME, plain / NEARER)
        return Finding(
            code=code,
            measured=measured,
            bounds=(floor(bound),),
            evidence=(Fact("distance_from_cross_entropy", plain), Fact("classes", of.get("classes"))),
            phrase="distance of the gradient from that of another loss {measured}"
            if measured >= bound
            else FORMS[code],
        )


_case = Cases(SoftmaxOnce())
_PLAIN = {"cross_entropy": 1e-6, "softmax_twice": 0.02, "no_log": 0.3, "unweighted": 1e-6, "classes": 8.0}
PASSES = (
    _case(
        "label_smoothing_of_nearly_even_outputs",
        [{**_PLAIN, "cross_entropy": 4.9e-3, "softmax_twice": 1.4e-3, "unweighted": 5e-3}] * 3,
    ),
    _case("perfect_oracle", [_PLAIN] * 3),
    _case("another_loss", [{**_PLAIN, "cross_entropy": 0.3}] * 3),
    _case("all_alike_at_first", [{**_PLAIN, "softmax_twice": 1e-5}] * 3),
)
_TWICE = {**_PLAIN, "cross_entropy": 0.02, "softmax_twice": 1e-6}
_NO_LOG = {**_PLAIN, "softmax_twice": 0.02, "unweighted": 0.02, "no_log": 1e-6}
FAILS = (
    _case("softmax_before_cross_entropy", [_TWICE] * 2, "softmax_twice", over=False, distance_from_cross_entropy=0.02),
    _case("no_log", [_NO_LOG] * 2, "no_log", 1e-6),
    _case("not_a_number", [{**_PLAIN, "no_log": math.nan}] * 2),
)
