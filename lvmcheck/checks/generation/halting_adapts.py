"""halting_adapts: a halting model takes more steps for tokens that are harder for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, facts, failed
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import Numbers, at_least, final_probe, settle
from lvmcheck.checks.shared.epochs import check_count, check_number
from lvmcheck.run.events import Probe
from lvmcheck.run.view import Run

PROBE = "halting"
SIGMAS = 3.0
"""Standard errors by which a rank correlation must exceed 0, whatever was asked for."""


@dataclass(frozen=True, kw_only=True)
class HaltingAdapts(Check):
    """At the end, expected steps and loss of a token are rank-correlated by at least `min_correlation`.

    The probe "halting" of the final epoch gives loss_correlation (Spearman, over `tokens` scored validation tokens);
    it must also be 3 standard errors, 3 / sqrt(tokens), above 0, so that few tokens cannot show it by chance. Where the
    steps that tokens really take are the same for all (variance 0), nothing adapts, whatever is expected of them.

    Why:
    Adaptive computation pays only where it adapts. A head that halts at random has variance too.

    Usual causes:
    - The head learned the position or the frequency of a token instead of its difficulty.
    - Ponder cost and cross-entropy do not balance: depth follows the cost alone.
    - The steps do not help: where every step predicts equally well, there is nothing to adapt.

    Fix:
    Compare the loss of each recursion step. If later steps are no better, supervise them (deep supervision) before
    asking when to stop; if they are, lower the ponder cost.

    Healthy runs that must pass:
    A weak correlation over many tokens (0.1 over 4,096 tokens is 6 standard errors).

    Source:
    docs/history.md (the halting head); the standard error of a rank correlation is 1 / sqrt(n - 1).
    """

    metric_fields = ()

    min_correlation: float = 0.05
    min_tokens: int = 100

    def __post_init__(self) -> None:
        check_number("min_correlation", self.min_correlation, -1.0, 1.0)
        check_count("min_tokens", self.min_tokens, low=2)

    def judge(self, run: Run) -> Outcome:
        return final_probe(run, PROBE, self._compare)

    def _compare(self, known: Numbers, probe: Probe) -> Outcome:
        tokens, steps = known.number("tokens"), known.number("variance")
        enough = at_least("tokens", tokens, self.min_tokens, phrase="halting measured over {measured} tokens")
        if not enough.met:
            return settle([enough])
        if not steps > 0:
            shown = facts(mean_steps=known.number("mean"), tokens=tokens)
            words = "variance of the steps taken {measured}: all {tokens} tokens take {mean_steps}"
            return failed(
                Finding(code="constant_steps", measured=steps, epoch=probe.epoch, evidence=shown, phrase=words)
            )
        correlation = known.number("loss_correlation")
        code = "constant" if math.isnan(correlation) else "negative_correlation" if correlation < 0 else "correlation"
        return settle(
            [
                at_least(
                    code,
                    correlation,
                    max(self.min_correlation, SIGMAS / math.sqrt(tokens)),
                    epoch=probe.epoch,
                    evidence=facts(tokens=tokens, standard_error=1 / math.sqrt(tokens)),
                    phrase="rank correlation of expected steps with token loss {measured} over {tokens} tokens",
                )
            ]
        )


def _run(correlation: float, tokens: float = 4096, variance: float = 0.3) -> Run:
    values = {"loss_correlation": correlation, "tokens": tokens, "variance": variance, "mean": 3.0}
    return language.probed(PROBE, values)


_case = made.Cases(HaltingAdapts())
PASSES = (_case("perfect_oracle", _run(1.0)), _case("weak_over_many_tokens", _run(0.1)))
FAILS = (
    _case("halts_at_random", _run(0.004)),
    _case("by_chance_over_few_tokens", _run(0.2, tokens=120), "correlation", 0.2, tokens=120),
    _case("longer_on_easy_tokens", _run(-0.3), "negative_correlation", -0.3),
    _case("constant_probability", _run(float("nan")), "constant", float("nan")),
    _case("all_halt_at_one_step", _run(0.6, variance=0.0), "constant_steps", 0.0, mean_steps=3.0),
)
