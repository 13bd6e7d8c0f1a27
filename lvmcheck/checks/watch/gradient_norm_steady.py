"""gradient_norm_steady: the gradient norm does not leap above its own level again and again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Cases, Series, case_run, players
from lvmcheck.run.events import MODELS, Watch
from lvmcheck.run.view import Run

FACTOR, TIMES, OF, BEFORE = 10.0, 3, 10, 10
"""Times the median, how often, in how many measured steps, after how many."""


@dataclass(frozen=True, kw_only=True)
class GradientNormSteady(Series):
    """In no ten measured steps in a row, three or more gradient norms exceed ten times the median of those before.

    They must exceed ten times the median of the first ten, too: small norms at the end of a training leap easily; and
    ten times the third smallest of the ten: norms that grow do not leap. Of models that play against each other it
    warns.

    Why:
    Gradients that explode now and then throw the weights out of what they have learned, and end in NaN.

    Usual causes:
    - A learning rate that is too high.
    - Recurrence over many steps without clipping.
    - Rows with values far outside of the others.

    Fix:
    Clip the gradient norm to a few times its median, lower the learning rate, and look at the rows of those steps.

    Healthy runs that must pass:
    A spike that recovers; norms that grow while a model begins to learn; adversarial training; the first infinite norms
    of a gradient scaler.

    Source:
    This project's list of faults in training loops: exploding_gradient.
    """

    event = "gradient_norm"
    needs = 40

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        outcome = super().decide_on(run, events)
        found = outcome.status is Status.FAILED and outcome.finding
        return warning(found, evaluated=outcome.evaluated) if found and players(run) else outcome

    def look_at(self, events: Sequence[Watch]) -> Finding | None:
        norms = [event.values.get("norm", math.nan) for event in events]
        if len(norms) < BEFORE + OF:
            return None
        finite = [norm for norm in norms[:-OF] if math.isfinite(norm)] or [math.nan]
        last = norms[-OF:]
        usual = sorted(norm for norm in last if math.isfinite(norm))[TIMES - 1 : TIMES]  # norms that grow leap nowhere
        bound = FACTOR * max(statistics.median(finite[:BEFORE]), statistics.median(finite[-2 * OF :]), *usual)
        above = sorted(norm for norm in last if not norm <= bound)
        worst = math.nan if any(map(math.isnan, last)) else max(last)
        exploding = len(above) >= TIMES
        return Finding(
            code="exploding",
            measured=above[-TIMES] if exploding and math.isfinite(worst) else worst if exploding else min(worst, bound),
            bounds=(ceiling(bound, f"{FACTOR:g} times the median"),),
            step=events[-1].step,
            evidence=(Fact("steps_above", len(above)), Fact("highest", worst)),
            phrase="{steps_above} of 10 gradient norms spike, up to {highest}",
        )


_CHECK = GradientNormSteady()
_case = Cases(_CHECK)


def _norms(*values: float) -> list[dict[str, float]]:
    return [{"norm": value} for value in values]


PASSES = (
    _case("perfect_oracle", _norms(*[1.0] * 30)),
    _case("grows_while_it_begins_to_learn", _norms(*[1e-4 * 1.25**i for i in range(30)], *[0.08, 0.03] * 10)),
    _case("a_spike_that_recovers", _norms(*[1.0] * 20, 50.0, *[1.0] * 20)),
)
_PLAYERS = replace(
    case_run("gradient_norm", _norms(*[1.0] * 20, 50.0, 1.0, 90.0, 1.0, 200.0)),
    events=(
        Watch(name=MODELS, epoch=1, step=0, subjects=(), values={"models": 2.0, "joint": 0.0}),
        *case_run("gradient_norm", _norms(*[1.0] * 20, 50.0, 1.0, 90.0, 1.0, 200.0)).events,
    ),
)
FAILS = (
    _case(
        "exploding", _norms(*[1.0] * 20, 50.0, 1.0, 90.0, 1.0, 200.0), "exploding", over=False, step=25, highest=200.0
    ),
    _case("not_a_number", _norms(*[1.0] * 20, *[math.nan] * 3)),
    made.case("models_that_play", _CHECK, _PLAYERS, "exploding", status=Status.WARNING),
)
