"""overfit_batch: the model can learn one batch by heart."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed, warning
from lvmcheck.watch.preflight.nested import first_rows
from lvmcheck.watch.preflight.setup import Setup, SkipProbe

LATE = True
FIXES = {
    "not_learned": "find out what is not connected: check that inputs and targets belong together, that the gradient"
    " reaches every layer, and that no activation is dead",
    "not_finite": "lower the learning rate, clip gradients, and look for overflows",
    "plateau": "check that the model has the capacity to learn these rows, and that equal inputs have equal targets",
}
STEPS = 200
ROWS = 16
SHARE = 0.05
LR = 3e-3
FLAT = 0.02
"""A loss that falls by less over the last quarter of the steps has reached its end."""


@dataclass(frozen=True)
class Curve:
    """Losses of steps on one batch, and whether time was left."""

    losses: list[float]
    whole: bool

    @property
    def share(self) -> float:
        """Lowest loss as a share of the first."""
        return min(self.losses) / self.losses[0] if self.losses[0] else 0.0

    @property
    def flat(self) -> bool:
        quarter = max(2, len(self.losses) // 4)
        late, earlier = min(self.losses[-quarter:]), min(self.losses[:-quarter], default=math.inf)
        return self.whole and earlier - late < FLAT * abs(self.losses[0])


def measure(setup: Setup) -> Outcome:
    setup.needs_gradient()
    floor_is_zero = known_floor(setup)
    curve = train(setup)
    finding = _finding("learned", curve)
    if not all(map(math.isfinite, curve.losses)):
        return failed(_finding("not_finite", curve))
    first, low = curve.losses[0], min(curve.losses)
    if first > 0 and curve.share <= SHARE:
        return passed(finding, evaluated=len(curve.losses))
    if first - low < 1e-3 * abs(first):
        if abs(first) < 1e-6:
            raise SkipProbe("the first loss is 0 already")
        return failed(_finding("not_learned", curve)) if curve.whole else _undecided(setup, curve)
    if not floor_is_zero:
        return passed(_finding("falls", curve, bounded=False), evaluated=len(curve.losses))
    if not curve.flat:
        return _undecided(setup, curve) if not curve.whole else passed(_finding("falls", curve, bounded=False))
    return failed(_finding("not_learned", curve)) if curve.share > 0.8 else warning(_finding("plateau", curve))


def _undecided(setup: Setup, curve: Curve) -> Outcome:
    share = f"{100 * curve.share:.0f} %"
    return not_recorded(
        f"{len(curve.losses)} steps in what was left of {setup.budget:g} s, to {share} of the first loss"
    )


def known_floor(setup: Setup) -> bool:
    """Whether the loss can reach 0: a cross entropy of hard labels without smoothing, and most weights trainable."""
    found = list(setup.training.of("cross_entropy", "nll_loss"))
    hard = all(not op.argument(1, "target").is_floating_point() for op in found)
    trainable = sum(parameter.numel() for _, parameter in setup.trainable())
    mostly = 2 * trainable > sum(parameter.numel() for _, parameter in setup.named())
    return bool(found) and hard and mostly and all(not op.argument(7, "label_smoothing", 0.0) for op in found)


def train(setup: Setup) -> Curve:
    """Adam on a few rows, without dropout."""
    rows = setup.rows
    batch = setup.small if rows is None or rows <= ROWS else first_rows(setup.batch, ROWS, rows)
    optimizers = setup.own_optimizer(LR)
    setup.train()
    without_dropout(setup.model)
    losses: list[float] = []
    while len(losses) < STEPS:
        losses.append(setup.step(batch, optimizers))
        if not math.isfinite(losses[-1]) or 0 < losses[-1] <= SHARE * losses[0]:
            break
        if time.perf_counter() > setup.deadline:
            return Curve(losses, whole=False)
    return Curve(losses, whole=True)


def without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.eval()
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0


def _finding(code: str, curve: Curve, *, bounded: bool = True) -> Finding:
    evidence = (Fact("steps", len(curve.losses), "steps"), Fact("first_loss", curve.losses[0]))
    return Finding(
        code=code,
        measured=100 * curve.share,
        unit="%",
        bounds=(ceiling(100 * SHARE),) if bounded else (),
        evidence=evidence,
        phrase="one batch learned to {measured} of its first loss {first_loss} in {steps}",
    )
