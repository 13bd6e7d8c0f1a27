"""gan_balance: neither of two players wins for good, and they do not win both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._blow_ups import of_players, samples_improve
from lvmcheck.checks.curves._curves import CurveCheck, concluded, place_fact
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, player, words
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import noise, trend

LEAST = 8
"""Values of each loss from which the second half says who wins."""
NOTHING, NONE = 0.05, 0.01
"""A loss of a player that has won, and that of one who meets no opponent."""
LOST, BEATEN = 4.0, 2.5
"""Loss of a generator that is always found out, and of a discriminator that is always wrong."""
GUESS, LEVELS = 1.15, (0.6931, 1.3863)
"""Times the loss of a guess that a discriminator stays above, and that loss as a mean and as a sum."""
EASY = 0.88
"""Share of ln 2 that no generator's loss stays below against a discriminator that opposes it."""
SWING, FAR = 3.0, 20.0
"""Loss of a critic on both sides of 0, and range of its generator's, that no penalty holds."""
WILD = 0.1
"""Noise of a loss, as a share of its level, beside which it is thrown about."""


@dataclass(frozen=True, kw_only=True)
class GanBalance(CurveCheck):
    """The losses of generator and discriminator do not both go to 0, and neither of them loses for half of the run.

    Of losses that are never negative these fail, by the medians of the second half: both below 0.05; a discriminator
    below 0.02 beside a generator above 4, while the former still falls; both better than the guess from which they
    began, since against a discriminator at its best no generator gets below ln 2; a discriminator above 2.5 that has
    not fallen much, or 15 % above the loss of a guess (0.693 or 1.386) at which it began. A discriminator's accuracy
    that is one number warns. A critic's loss that swings between -3 and 3 beside a generator's over more than 20 fails:
    nothing bounds it. A distance of the samples that has halved, or a score that gets better, excuses all of them.

    Why:
    Two losses that go down together look like success, and opponents cannot both win. A discriminator that is never
    wrong gives its generator no gradient.

    Usual causes:
    - Samples get the label of data, or the generator is trained to be found out.
    - An optimizer holds the other player's parameters, or a step is missing.
    - A learning rate of one player is far too high; samples are detached in the generator's step.
    - The gradient penalty is not added.

    Fix:
    Print both outputs of the discriminator, for data and for samples, and the norm of the gradient at both players.

    Healthy runs that must pass:
    Losses at the level of a guess, where good training ends; a discriminator at 0.1 to 0.6; hinge and Wasserstein
    losses that cross 0; swings in the first half.

    Source:
    Definitions: cross-entropies of opposite labels add up to at least 2 ln 2. Three galleries. Severity: fails.
    """

    def judge_ended(self, run: Run) -> Outcome:
        found = {player(curve.name): curve for curve in reversed(of_players(run)) if len(curve) >= LEAST}
        critic, generator = found.get("discriminator"), found.get("generator")
        if critic is None or generator is None:
            return not_recorded(f"no losses of generator and discriminator are recorded {LEAST} times")
        if any(map(samples_improve, _evaluations(run))):
            return not_applicable("a distance or score of the samples says that training works")
        values = len(critic) + len(generator)
        code = _bounded(critic, generator) or _unbounded(critic, generator)
        if code:
            return failed(_finding(code, critic, generator), evaluated=values)
        if _blind(run):
            return warning(_finding("one_answer", critic, generator), evaluated=values)
        return concluded(_finding("balance", critic, generator), [critic, generator], evaluated=values)


def _evaluations(run: Run) -> list[Curve]:
    kinds = (Quantity.ERROR, Quantity.SCORE, Quantity.LOSS)
    return [c for c in run.curves.of(*kinds) if len(c) >= 4 and player(c.name) is None and c.name != "train_loss"]


def _late(curve: Curve) -> float:
    return float(np.median(curve.values[len(curve) // 2 :]))


def _bounded(critic: Curve, generator: Curve) -> str:
    """What is wrong with losses that are never below 0 (or end next to it); empty where nothing is."""
    d, g = _late(critic), _late(generator)
    if abs(d) < NOTHING and abs(g) < NOTHING and abs(g) < 0.5 * float(np.abs(generator.values).max()):
        return "both_win"
    if min(float(critic.values.min()), float(generator.values.min())) < 0:
        return ""
    if d < 2 * NONE and g > LOST and trend(critic.values) < -3:
        return "critic_wins"
    level = next((at for at in LEVELS if abs(float(critic.values[0]) / at - 1) < 0.1), None)
    guess = level is not None and d > GUESS * level and abs(float(generator.values[0]) / LEVELS[0] - 1) < 0.2
    begins = abs(float(generator.values[0]) / LEVELS[0] - 1) < 0.25
    if level is not None and begins and g < EASY * LEVELS[0] and d < 0.94 * level:
        return "both_gain"
    if guess or d > max(BEATEN, 0.6 * float(critic.values[0])):
        late = critic.values[len(critic) // 2 :]
        return "critic_wild" if noise(late) > WILD * d else "critic_loses"
    return ""


def _unbounded(critic: Curve, generator: Curve) -> str:
    d, g = np.sort(critic.values), generator.values
    both = float(d[1]) < -SWING and float(d[-2]) > SWING
    return "swings" if both and float(np.ptp(g)) > FAR and float(g.min()) < 0 else ""


def _blind(run: Run) -> bool:
    """Whether an accuracy of the discriminator is one number."""
    for name, curve in run.curves.by_epoch.items():
        if player(name) == "discriminator" and {"acc", "accuracy"} & set(words(name)) and len(curve) >= LEAST:
            return float(np.ptp(curve.values)) == 0
    return False


def _finding(code: str, critic: Curve, generator: Curve) -> Finding:
    last = len(critic) - 1
    return Finding(
        code=code,
        metric=critic.name,
        measured=_late(critic),
        epoch=critic.place(last)[0],
        evidence=(
            place_fact("critic_first", critic, 0),
            place_fact("critic_last", critic, last),
            Fact("critic_highest", float(critic.values.max())),
            place_fact("generator_first", generator, 0),
            place_fact("generator_last", generator, len(generator) - 1),
            Fact("generator_half", _late(generator)),
        ),
        phrase=_PHRASES[code],
    )


_PHRASES = {
    "both_win": "{metric} is {measured} and the generator's loss {generator_half} in the second half: both cannot win",
    "both_gain": "{metric} is {measured} and the generator's loss {generator_half} in the second half, less than an "
    "opponent leaves it",
    "critic_wins": "{metric} is {measured} in the second half, and the generator's loss {generator_half}: it is found "
    "out always",
    "critic_loses": "{metric} is {measured} in the second half, worse than a guess",
    "critic_wild": "{metric} is {measured} in the second half, worse than a guess, and thrown about",
    "swings": "{metric} swings to {critic_highest}, and the generator's loss goes to {generator_last}: nothing bounds "
    "them",
    "one_answer": "the accuracy of the discriminator is one number in every evaluation",
    "balance": "",
}


def _pair(d: Sequence[float], g: Sequence[float]) -> Run:
    return run_from({"d_loss": d, "g_loss": g})


_case = made.Cases(GanBalance())
_DOWN = [1.2 * 0.5**i for i in range(16)]
PASSES = (
    _case("perfect_oracle", _pair([1.3863] * 12, [0.6931] * 12)),
    _case("at_a_guess", _pair(made.lines(16, 0.67, 0.62, 0.7), made.lines(16, 0.7, 0.95, 0.7))),
    _case("critic_ahead", _pair(made.lines(16, 1.3, 0.3, 0.15), made.lines(16, 0.7, 3.0, 5.0))),
    _case("hinge", _pair(made.lines(16, 1.3, 1.97, 1.6), made.lines(16, 0.5, 0.005, 0.13))),
    _case("wasserstein", _pair(made.lines(16, 0.5, -1.4, 0.2), made.lines(16, -0.2, -1.4, 5.9))),
)
FAILS = (
    _case("label_of_data", _pair(_DOWN, [0.7 * v for v in _DOWN]), "both_win"),
    _case("detached", _pair(_DOWN, made.lines(16, 0.8, 4.5, 6.5)), "critic_wins"),
    _case("optimizers_mixed", _pair(made.lines(16, 1.37, 1.05), made.lines(16, 0.6, 0.47)), "both_gain"),
    _case("not_trained", _pair(made.lines(16, 1.4, 9.0, 25.0), _DOWN), "critic_loses"),
    _case("rate_of_a_half", _pair([1.4, 9.0, 3.0, *[12.0, 5.0, 40.0, 9.0] * 3, 20.0], [2.0, 9.0] * 8), "critic_wild"),
    _case("no_penalty", _pair(made.lines(20, -1.6, -20.0, 6.6, -6.0), made.lines(20, -0.1, -54.0, 32.0)), "swings"),
)
