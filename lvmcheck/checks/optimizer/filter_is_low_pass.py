"""filter_is_low_pass: Grokfast amplifies what stays in the gradient, not what changes."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Outcome, not_applicable
from lvmcheck.checks.optimizer._probed import at_end, median, setting, stated
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.run.view import Run

KEY, RAW = "filter/slow_gain", "filter/raw_gain"


@dataclass(frozen=True, kw_only=True)
class FilterIsLowPass(Check):
    """The filter adds lambda times the running mean of the gradient, and nothing of the gradient itself.

    Least squares of what the filter added to the gradient, by their medians over the run's probes: the coefficient of
    the running mean ("filter/slow_gain") is that of the configuration (optimizer.grokfast_lambda) to `tolerance`,
    relative, and at least `min_gain`; that of the gradient ("filter/raw_gain", where it is stated) is 0 to `tolerance`
    of it. Not applicable where the configuration turns the filter off.

    Why:
    With the sign turned, g + lambda * (g - ema), the filter amplifies noise and damps what is learned slowly, the
    opposite of its purpose. The loss hardly shows it, and the original project's documents described a third formula.

    Usual causes:
    - The difference g - ema is added instead of the mean.
    - The filter is configured (lambda > 0) and never called, or called after the step.
    - The running mean is reset at every step or kept in another dtype, so that it stays near 0.

    Fix:
    Feed the filter a constant gradient: it must come out (1 + lambda) times as large. An alternating one must come
    out nearly unchanged.

    Healthy runs that must pass:
    A filter that is off; one probe of the first steps, in which running mean and gradient hardly differ.

    Source:
    Lee et al. 2024 (Grokfast); history 11 (a high-pass filter).
    """

    metric_fields = ()

    min_gain: float = 0.01
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        check_number("min_gain", self.min_gain, 0.0)
        check_number("tolerance", self.tolerance, 0.0)

    def judge(self, run: Run) -> Outcome:
        wanted = setting(run, "grokfast_lambda")
        if wanted == 0 or setting(run, "kind") == "adamw":
            return not_applicable("the configuration has no gradient filter")
        found = at_end(run, KEY)
        if isinstance(found, Outcome):
            return found
        values, shown = found
        gain = median(values)
        phrase = "median gain of the slow gradient {measured}"
        findings = [at_least("gain_of_slow_gradient", gain, self.min_gain, evidence=shown, phrase=phrase)]
        scale = abs(gain)
        if isinstance(wanted, int | float) and not isinstance(wanted, bool):
            scale = abs(float(wanted))
            more = (Fact("gain", gain), Fact("configured_lambda", wanted), *shown)
            phrase = "gain {gain} of the slow gradient differs from lambda {configured_lambda} by {measured}"
            findings.append(
                at_most("gain_is_not_lambda", abs(gain - wanted), self.tolerance * scale, evidence=more, phrase=phrase)
            )
        raw = stated(run, RAW)
        if raw:
            phrase = "magnitude of the gain of the gradient itself {measured}"
            limit = self.tolerance * scale
            findings.append(at_most("gain_of_gradient", abs(median(raw)), limit, evidence=shown, phrase=phrase))
        return settle(findings, evaluated=len(values))


def _run(*gains: float, configured: float | None = 0.3, raw: float | None = None) -> Run:
    probes = ({KEY: gain, **({} if raw is None else {RAW: raw})} for gain in gains)
    config = {} if configured is None else {"optimizer": {"grokfast_lambda": configured}}
    return language.probed("learning_rates", *probes, config=config)


_case = made.Cases(FilterIsLowPass())
PASSES = (
    _case("perfect_oracle", _run(0.3, 0.3, raw=0.0)),
    _case("first_probe_off", _run(0.1, 0.3, 0.3)),
    _case("lambda_not_configured", _run(0.3, 0.3, configured=None)),
)
FAILS = (
    _case("reversed", _run(-0.3, -0.3, -0.3, raw=0.3), "gain_is_not_lambda", 0.6, gain=-0.3),
    _case("never_called", _run(0.0, 0.0)),
    _case("another_lambda", _run(2.0, 2.0), configured_lambda=0.3),
    _case("amplifies_all", _run(0.3, 0.3, raw=0.3), "gain_of_gradient", 0.3),
    _case("nan", _run(0.3, float("nan")), measured=float("nan")),
)
