"""term_sign: no term of the loss that cannot be negative is driven below 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, concluded
from lvmcheck.checks.curves._term_windows import some_windows
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve, curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Role, Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import trend

LEAST = 8
"""Windows from which a term has a course."""
TIMES = 3.0
"""Times its first level that a term grows below 0."""
SMALL = 0.1
"""Level below which a negative term may be the noise of an estimate."""
FALLS = -3.0
"""Standard deviations of a flat curve's trend at which a term falls throughout."""
_WORDS = """kl kld l1 l2 mse mae rmse huber wd decay penalty gp tv mmd commit commitment quantization quantisation
smoothness orthogonality sparsity"""
NEVER = frozenset(_WORDS.split())
"""Words of terms that are squares, absolute values or divergences."""
MEANT = frozenset({"balance", "load", "router", "reg", "regularization", "regularisation", "regularizer", "aux"})
"""Words of terms that are added to a loss and mostly positive."""
BONUS = frozenset({"entropy", "bonus", "reward", "diversity", "adversarial", "adv", "domain", "reversal", "approx"})


@dataclass(frozen=True, kw_only=True)
class TermSign(CurveCheck):
    """No divergence, square or penalty contributes a negative value that grows with every step to the loss.

    Judged are the declared terms of the loss times their weights. A term whose name says that it cannot be negative
    (kl, l1, l2, mse, penalty, gp, tv, commitment and the like) fails where its contribution is below 0 in the second
    half of the run, falls throughout, and ends at three times its first level below 0 or lower. One that balances or
    regularises (balance, load, router, reg, aux) fails in that case where it outweighs the rest of the loss, and warns
    otherwise.

    Why:
    A subtracted penalty rewards what it is meant to prevent. The loss falls better than ever, while the model is driven
    to the largest penalty that there is: all samples to one expert, a code without limit.

    Usual causes:
    - The term is subtracted where it has to be added, or its weight is negative.
    - The formula was copied from a paper that maximises (the ELBO), and one sign was left.
    - The target and the estimate of a divergence are exchanged.

    Fix:
    Compute the term for a case in which it must be 0 and for a bad one: the bad one must raise the loss.

    Healthy runs that must pass:
    A bonus for entropy; negative log-likelihoods of densities; an estimate of a divergence that is below 0 by noise;
    losses of players; a negative entropy of the load that rests at -ln of the number of experts.

    Source:
    Seen in recorded runs. Severity: fails where the sign is a fact of the formula, warns where only its name says so.
    """

    def judge_ended(self, run: Run) -> Outcome:
        terms = list(_contributions(run))
        if not terms:
            return not_recorded("no term that cannot be negative is declared")
        if run.curves.adversarial or run.curves.rewards:
            return not_applicable("terms of GAN and policy losses may have either sign")
        long = [(term, rest, never) for term, rest, never in terms if len(term) >= LEAST]
        if not long:
            return not_applicable(f"fewer than {LEAST} windows")
        values = sum(len(term) for term, _, _ in long)
        for term, rest, never in long:
            if _driven(term.values):
                end = term.values[-3:]
                outweighs = bool((np.abs(end) > np.abs(rest[-3:])).all())
                sure = never or outweighs
                return (failed if sure else warning)(_finding("driven_below_0", term), evaluated=values)
        return concluded(_finding("kept", long[0][0]), [term for term, _, _ in long], evaluated=values)


def _contributions(run: Run) -> Iterator[tuple[Curve, np.ndarray, bool]]:
    """What each such term adds to the loss, what the others add, and whether it can never be negative."""
    windows = some_windows(run)
    for name in windows[0].terms if windows else ():
        said = set(words(name))
        if BONUS & said or not (NEVER | MEANT) & said:
            continue
        held = [window for window in windows if name in window.terms]
        points = [(w.epoch, w.last_step, w.terms[name].weight * w.terms[name].mean) for w in held]
        rest = [sum(t.weight * t.mean for other, t in w.terms.items() if other != name) for w in held]
        term = curve(Role(name, Quantity.TERM, Split.TRAIN), points, by_step=True)
        yield term, np.array(rest, dtype=np.float64), bool(NEVER & said)


def _driven(values: np.ndarray) -> bool:
    """Whether a term is below 0 and falls, to several times its first level."""
    later = values[len(values) // 2 :]
    first, last = float(np.median(values[:3])), float(np.median(values[-3:]))
    deep = last < -TIMES * max(abs(first), SMALL)
    return deep and bool((later < 0).all()) and trend(values) < FALLS


def _finding(code: str, term: Curve) -> Finding:
    epoch, step = term.place(len(term) - 1)
    return Finding(
        code=code,
        metric=term.name,
        measured=float(term.values[-1]),
        epoch=epoch,
        step=step,
        evidence=(Fact("first", float(term.values[0])), Fact("windows", len(term))),
        phrase="the loss term {metric} is driven below 0, from {first} to {measured}"
        if code == "driven_below_0"
        else "",
    )


def _run(task: Sequence[float], extra: Sequence[float], name: str = "kl", weight: float = 1.0) -> Run:
    total = [a + weight * b for a, b in zip(task, extra, strict=True)]
    return made.window_run(total, terms={"task": (1.0, task), name: (weight, extra)})


_case = made.Cases(TermSign())
_TASK = made.lines(20, 1.0, 0.6, 0.4)
PASSES = (
    _case("perfect_oracle", _run([0.0] * 20, [0.0] * 20)),
    _case("divergence", _run(_TASK, made.lines(20, 0.0, 12.0, 14.0), weight=0.1)),
    _case("noise_of_an_estimate", _run(_TASK, made.lines(20, 0.01, -0.02, -0.03))),
    _case("negative_entropy_of_the_load", _run(_TASK, made.lines(20, -1.2, -1.38, -1.386), "balance")),
)
FAILS = (
    _case("divergence_subtracted", _run(_TASK, made.lines(20, -0.1, -20.0, -4e3)), "driven_below_0"),
    _case("negative_weight", _run(_TASK, made.lines(20, 0.1, 3.0, 40.0), "l2", -0.5), measured=-20.0),
    _case("balance_outweighs", _run(_TASK, made.lines(20, -1.0, -1.8, -4.0), "balance")),
)
