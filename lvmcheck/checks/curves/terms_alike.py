"""terms_alike: no two terms or metrics that mean different things are one number throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, concluded, found_at
from lvmcheck.checks.curves._term_windows import some_windows
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import PRIMARY, Curve, curve
from lvmcheck.run.role_names import IGNORED, Quantity, words
from lvmcheck.run.roles import Direction, Role, Split
from lvmcheck.run.view import Run

LEAST, FEW = 8, 5
"""Windows, and evaluations, in which two of them must be equal."""
SAME = 1e-9
"""Relative difference up to which two figures are one."""
MOST = 40
"""Terms or metrics beyond which the rest is not compared."""
QUANTISED = frozenset({"commit", "commitment", "codebook", "vq", "quantisation", "quantization", "quantizer"})
"""Words of the two halves of a quantiser's distance: equal values by definition, and gradients that are not."""
GENERAL = IGNORED | frozenset({"loss", "term", "raw", "weighted", "unweighted", "scaled", "sum"})


@dataclass(frozen=True, kw_only=True)
class TermsAlike(CurveCheck):
    """No two terms of the loss have the same mean, to a billionth, in every window; no loss equals a score.

    Two terms that vary and are equal in eight or more windows fail, unless one name says that it is a form of the
    other (kl and kl_raw) or both are the whole loss. A metric that lower is better for and one that higher is better
    for, equal in five or more evaluations, warn.

    Why:
    A term that is computed from the wrong head, or twice, trains one task with double weight and the other not at all.
    The sum falls all the same.

    Usual causes:
    - A line was copied, and one of its names was not changed.
    - Both terms are computed from the same output or the same targets.
    - One variable is logged under two names.

    Fix:
    Print the inputs of both terms for one batch.

    Healthy runs that must pass:
    Terms that are 0 throughout; codebook and commitment, which differ by their gradients alone; the whole loss
    among its terms; a term beside its unweighted form; micro-averaged scores, which equal the accuracy; mse_loss
    beside mse.

    Source:
    A shortcut seen in practice. Severity: terms fail, since two quantities are equal by no chance; metrics warn.
    """

    def judge_ended(self, run: Run) -> Outcome:
        terms, metrics = _terms(run), _metrics(run)
        pairs = [*combinations(terms, 2), *((a, b) for a, b in combinations(metrics, 2) if _opposed(a, b))]
        if not pairs:
            return not_recorded("no two loss terms, nor a loss with a score, are recorded")
        if all(min(len(a), len(b)) < FEW for a, b in pairs):
            return not_applicable(f"fewer than {FEW} values of each")
        values = sum(len(a) for a, _ in pairs)
        for a, b in pairs:
            of_terms = a.by_step and b.by_step and a.role.quantity is Quantity.TERM
            if len(a) >= (LEAST if of_terms else FEW) and _equal(a, b):
                return (failed if of_terms else warning)(_finding("alike", a, b), evaluated=values)
        return concluded(_finding("differ", *pairs[0]), [found for pair in pairs for found in pair], evaluated=values)


def _terms(run: Run) -> list[Curve]:
    """Terms of the windows that are not the whole loss, nor forms of each other."""
    windows = some_windows(run)
    if len(windows) < LEAST:
        return []
    found: list[Curve] = []
    losses = np.array([window.loss_mean for window in windows])
    for name in sorted(windows[0].terms)[:MOST]:
        if QUANTISED & set(words(name)):
            continue
        held = [window for window in windows if name in window.terms and window.terms[name].weight]
        points = [(window.epoch, window.last_step, window.terms[name].mean) for window in held]
        made_of = curve(Role(name, Quantity.TERM, Split.TRAIN), points, by_step=True)
        whole = len(made_of) == len(losses) and _one(made_of.values, losses)
        if len(made_of) >= LEAST and not whole and not any(_forms(name, other.name) for other in found):
            found.append(made_of)
    return found


def _one(values: np.ndarray, losses: np.ndarray) -> bool:
    return bool(np.ptp(losses) > 0) and np.allclose(values, losses, rtol=1e-6, atol=0)


def _forms(a: str, b: str) -> bool:
    """Whether one name is the other with a word more, or less."""
    left, right = set(words(a)) - GENERAL, set(words(b)) - GENERAL
    return left <= right or right <= left


def _metrics(run: Run) -> list[Curve]:
    known = [
        run.curves.by_epoch[name]
        for name, role in run.curves.roles.items()
        if name in run.curves.by_epoch and role.quantity in PRIMARY
    ]
    return [found for found in known if len(found) >= FEW][:MOST]


def _opposed(a: Curve, b: Curve) -> bool:
    return {a.role.direction, b.role.direction} == {Direction.LOWER, Direction.HIGHER}


def _equal(a: Curve, b: Curve) -> bool:
    if len(a) != len(b) or a.missing != b.missing or not bool((a.epochs == b.epochs).all()):
        return False
    varies = float(np.ptp(a.values)) > 1e-6 * float(np.abs(a.values).max())
    return varies and bool((np.abs(a.values - b.values) <= SAME * np.abs(b.values)).all())


def _finding(code: str, a: Curve, b: Curve) -> Finding:
    return found_at(
        a,
        -1,
        code,
        evidence=(Fact("other", float(b.values[-1])), Fact("other_metric", b.name), Fact("values", len(a))),
        phrase="{metric} equals {other_metric} in all of {values} values" if code == "alike" else "",
    )


def _run(kind: Sequence[float], size: Sequence[float], *names: str) -> Run:
    first, second = names or ("kind", "size")
    total = [a + b for a, b in zip(kind, size, strict=True)]
    return made.window_run(total, terms={first: (1.0, kind), second: (1.0, size)})


_case = made.Cases(TermsAlike())
_A, _B = made.lines(20, 1.6, 0.9, 0.1), made.lines(20, 1.4, 0.7, 0.2)
PASSES = (
    _case("perfect_oracle", _run([0.0] * 20, [0.0] * 20)),
    _case("two_tasks", _run(_A, _B)),
    _case("a_loss_and_a_score", {"val_loss": _A, "val_acc": _B}),
)
FAILS = (
    _case("one_head_twice", _run(_A, _A), "alike", values=20),
    _case("other_names", _run(_B, _B, "loss_box", "loss_cls"), "alike"),
    _case("loss_logged_as_score", {"val_loss": _B, "val_auc": _B}, status=Status.WARNING),
)
