"""filter_is_low_pass: Grokfast amplifies what stays in the gradient, not what changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.check import Case, Check
from lvmcheck.checks import _cases as made
from lvmcheck.checks import _language_cases as language
from lvmcheck.checks._compare import at_least
from lvmcheck.checks._epochs import check_number
from lvmcheck.checks.optimizer._probed import every_probe
from lvmcheck.finding import Outcome
from lvmcheck.run import Run

KEY = "filter/slow_gain"


@dataclass(frozen=True, kw_only=True)
class FilterIsLowPass(Check):
    """The filtered gradient contains the running mean of the gradient with a median gain of at least `min_gain`.

    The gain is the coefficient of the running mean in the filtered gradient minus the raw one, by least squares:
    +lambda for the published filter g + lambda * ema. Probes of any name that state "filter/slow_gain" count.

    Why:
    With the sign turned, g + lambda * (g - ema), the filter amplifies noise and damps what is learned slowly, the
    opposite of its purpose. The loss hardly shows it, and the documents of the ancestors described a third formula.

    Usual causes:
    - The difference g - ema is added instead of the mean.
    - The filter is configured (lambda > 0) and never called, or called after the step.
    - The running mean is reset at every step or kept in another dtype, so that it stays near 0.

    Fix:
    Feed the filter a constant gradient: it must come out (1 + lambda) times as large. An alternating one must come
    out nearly unchanged.

    Healthy runs that must pass:
    A gain near 0 in the first steps, while the running mean is young.

    Source:
    Lee et al. 2024 (Grokfast); facts B3 of the ancestors (high-pass at HEAD).
    """

    metric_fields = ()

    min_gain: float = 0.01

    def __post_init__(self) -> None:
        check_number("min_gain", self.min_gain, 0.0)

    def judge(self, run: Run) -> Outcome:
        what = "median gain of the slow gradient"
        return every_probe(run, KEY, lambda value, shown: at_least(what, value, self.min_gain, shown))


def _run(*gains: float) -> Run:
    return language.probed("learning_rates", *({KEY: value} for value in gains))


_CHECK = FilterIsLowPass()
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, _run(0.3, 0.3)),
    made.case("young_mean", _CHECK, _run(0.0, 0.28, 0.3)),
)
FAILS: Sequence[Case] = (
    made.case("reversed", _CHECK, _run(-0.3, -0.3, -0.3), ("-0.3",)),
    made.case("never_called", _CHECK, _run(0.0, 0.0)),
    made.case("nan", _CHECK, _run(0.3, float("nan")), ("NaN",)),
)
