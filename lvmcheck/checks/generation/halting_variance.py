"""halting_variance: the number of steps of a halting model differs from token to token."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Outcome, facts
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import Numbers, at_least, final_probe, settle
from lvmcheck.checks.shared.epochs import check_count, check_number
from lvmcheck.run.events import Probe
from lvmcheck.run.view import Run

PROBE = "halting"


@dataclass(frozen=True, kw_only=True)
class HaltingVariance(Check):
    """At the end, the number of steps and the halting probability differ from token to token.

    The probe "halting" of the final epoch gives, over at least `min_tokens` scored validation tokens, the variance of
    the steps (at least `min_variance`) and p_variance, that of the halting probability (at least `min_p_variance`).
    A probability that varies below a threshold that no token reaches leaves the steps constant, and fails.

    Why:
    A model that halts at the same step for every token pays for a halting head without the use of it. The original
    project looked at the variance of the steps over a batch, which is not a number for a batch of one and 0 for
    integers that never change; the head had no gradient, and the cause was sought in its settings.

    Usual causes:
    - No gradient reaches the halting head: gradients_reach_every_parameter names it.
    - The ponder cost is so high that every token halts at once, or so low that none does.
    - The threshold is out of reach of the probabilities (all tokens at the last step).
    - The probability is a mean over the sequence or the batch, not one for each token.

    Fix:
    Look at p_variance first: 0 is structure (no gradient, a pooled probability), not a setting. Where p varies and the
    steps do not, move the threshold into the range of the probabilities, or lower the ponder cost.

    Healthy runs that must pass:
    A head that is constant in early epochs and differs at the end; an epoch whose probe saw too few tokens, as long as
    the final one did not.

    Source:
    docs/history.md (variance 0 and "degrees of freedom <= 0"); required there: variance above 0.05.
    """

    metric_fields = ()

    min_variance: float = 0.05
    min_p_variance: float = 1e-4
    min_tokens: int = 100

    def __post_init__(self) -> None:
        check_number("min_variance", self.min_variance, 0.0)
        check_number("min_p_variance", self.min_p_variance, 0.0, 1.0)
        check_count("min_tokens", self.min_tokens, low=2)

    def judge(self, run: Run) -> Outcome:
        return final_probe(run, PROBE, self._compare)

    def _compare(self, known: Numbers, probe: Probe) -> Outcome:
        tokens = known.number("tokens")
        enough = at_least("tokens", tokens, self.min_tokens, phrase="halting measured over {measured} tokens")
        if not enough.met:
            return settle([enough])
        steps, p, mean, most = (known.number(key) for key in ("variance", "p_variance", "mean", "max"))
        measured = {"mean_steps": mean, "max_steps": most, "tokens": tokens, "step_variance": steps}
        evidence = (*facts(measured, probability_variance=p), *_shares(probe))
        bounds = (
            ("step_variance", steps, self.min_variance, "variance of the halting steps {measured}"),
            ("probability_variance", p, self.min_p_variance, "variance of the halting probability {measured}"),
        )
        return settle(
            [
                at_least(code, value, least, epoch=probe.epoch, evidence=evidence, phrase=words)
                for code, value, least, words in bounds
            ]
        )


def _shares(probe: Probe) -> tuple[Fact, ...]:
    """Shares of the tokens that halt at each step."""
    return facts({name: value for name, value in probe.values.items() if name.startswith("share_")})


def _probe(variance: float, p: float, *, mean: float = 1.9, tokens: float = 4096) -> dict[str, float]:
    shares = {"share_1": 0.4, "share_2": 0.3, "share_3": 0.3}
    return {"mean": mean, "variance": variance, "p_variance": p, "tokens": tokens, "max": 3.0, **shares}


_case = made.Cases(HaltingVariance())
_GOOD = _probe(0.69, 0.02)
PASSES = (
    _case("perfect_oracle", language.probed(PROBE, _GOOD), share_1=0.4),
    _case(
        "batch_of_one_in_an_early_epoch", language.probed(PROBE, _probe(float("nan"), float("nan"), tokens=1), _GOOD)
    ),
    _case("dead_at_first", language.probed(PROBE, _probe(0.0, 0.0, mean=3.0), _GOOD)),
)
FAILS = (
    _case(
        "dead_halting_head",
        language.probed(PROBE, _probe(0.0, 0.0, mean=3.0)),
        "step_variance",
        0.0,
        mean_steps=3.0,
        max_steps=3.0,
    ),
    _case("batch_of_one", language.probed(PROBE, _GOOD, _probe(float("nan"), float("nan"), tokens=1)), "tokens", 1),
    _case("one_probability_for_all", language.probed(PROBE, _probe(0.4, 1e-7)), "probability_variance"),
    _case("threshold_out_of_reach", language.probed(PROBE, _probe(0.0, 0.004, mean=3.0)), "step_variance"),
    _case("nearly_constant_steps", language.probed(PROBE, _probe(0.003, 0.004)), "step_variance", 0.003),
    _case("nan", language.probed(PROBE, _probe(float("nan"), 0.02)), "step_variance", float("nan")),
    _case("nan_probability", language.probed(PROBE, _probe(0.7, float("nan"))), "probability_variance", float("nan")),
)
