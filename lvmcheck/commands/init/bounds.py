"""Bounds from the curves of one run or of several seeds. Each has one side only: a better model keeps them all.

From three seeds on a bound is what one more healthy seed misses with probability :data:`RATE` (Student's t); with fewer
it is a guess, and its source says so.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lvmcheck.checks.wording import figure, plural
from lvmcheck.commands.init.proposal import Proposal
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction, Role
from lvmcheck.run.view import Run, Series
from lvmcheck.statistics.rounding import DIGITS, rounded
from lvmcheck.statistics.seeds import sample
from lvmcheck.statistics.student import t_quantile

RATE, SEEDS = 0.01, 3
"""Share of healthy seeds that may miss a bound, and how many seeds show a spread."""
LOSS_SHARE, SCORE_SHARE, FIRST_SHARE = 0.25, 0.01, 0.05
"""Share of a loss that is added, of a score that is taken off at its end and at first, where nothing shows a spread."""
DOOMED = 0.5
"""Share of the bound of the first epoch that a run must miss it by to be stopped."""
GAIN_SHARE, RISE_SHARE = 0.1, 0.25
"""Shares of what is gained in training: room for the end, and for the first epoch, as a steep curve differs by seed."""
STEPS = 3
"""Times the step between neighbouring epochs of the second half: how far the end of a curve moves by itself."""
USELESS = 5.0
"""A ceiling above so many times the mean loss says nothing."""
LEVELS = (Quantity.LOSS, Quantity.PERPLEXITY, Quantity.BITS)
"""What is bounded in every epoch, too."""


@dataclass(frozen=True)
class Measured:
    """A metric of every run, with the direction that is better.

    Attributes:
        curves: one a run, in their order. name: what the runs are called in sources. on: name of the data, if any.
    """

    role: Role
    curves: tuple[Series, ...]
    name: str
    on: str | None

    @property
    def higher(self) -> bool:
        return self.role.direction is Direction.HIGHER

    def best(self, curve: Series) -> int:
        """The index of the best value of a curve."""
        return int(curve.values.argmax() if self.higher else curve.values.argmin())


@dataclass(frozen=True)
class Line:
    """A bound with where it comes from.

    Attributes:
        value: rounded to the side that asks less. off: how far it is from what was measured.
    """

    value: float
    off: float
    source: str


def measured(runs: Sequence[Run], metric: str, name: str) -> Measured | str:
    """The metric in every run, or why it has no bound."""
    missing = [run for run in runs if metric not in run.metric_names]
    if missing:
        return f"not recorded in {plural(len(missing), 'run')} of {len(runs)}"
    curves = tuple(run.series(metric) for run in runs)
    if not all(math.isfinite(value) for curve in curves for value in curve.values.tolist()):
        return "not finite in every epoch"
    role = runs[0].curves.roles.get(metric)
    if role is None or role.direction not in (Direction.HIGHER, Direction.LOWER):
        return "nothing says which way is better; rec.declare(roles=...) says it"
    if any(int(curve.epochs[-1]) != run.last_epoch for curve, run in zip(curves, runs, strict=True)):
        return "not recorded at the last epoch"
    return Measured(role, curves, name, runs[0].data_name)


def bounds_of(found: Measured, left: list[str]) -> Iterator[Proposal]:
    """Bounds of one metric; ``left`` gets a sentence where it has none."""
    curves, metric = found.curves, found.role.name
    firsts = {int(curve.epochs[0]) for curve in curves}
    if len(firsts) == 1 and all(len(curve) > 1 for curve in curves):
        yield _begins(found, firsts.pop())
    last = line(found, [float(curve.values[-1]) for curve in curves], "final", _room(found))
    if useless(found, last):
        left.append(f"{metric}: its seeds differ too much for a bound ({last.source})")
        return
    yield _asked(found, "final", last)
    if any(found.best(curve) < len(curve) - 1 for curve in curves):
        tops = [float(curve.values[found.best(curve)]) for curve in curves]
        yield _asked(found, "best", line(found, tops, "best", _room(found)))
    if found.role.quantity in LEVELS:
        yield from _highest(found)


def _room(found: Measured) -> float:
    """How far below its end a healthy run may stay, as a guess."""
    share = SCORE_SHARE if found.higher else LOSS_SHARE
    return max(_room_of(curve, share) for curve in found.curves)


def _room_of(curve: Series, share: float) -> float:
    first, last = float(curve.values[0]), float(curve.values[-1])
    return max(share * abs(last), GAIN_SHARE * abs(last - first), STEPS * wobble(curve))


def line(found: Measured, values: Sequence[float], epoch: str | int, guess: float) -> Line:
    """The bound of one more seed beside these, or of the worst of them less a guess."""
    sign, where = (-1 if found.higher else 1), f"at epoch {epoch}" if isinstance(epoch, int) else f"({epoch})"
    drawn = sample(values)
    if drawn.n >= SEEDS and drawn.sd > 0:
        off = t_quantile(RATE, drawn.n - 1) * drawn.sd * math.sqrt(1 + 1 / drawn.n)
        said = (
            f"{found.role.name} {figure(drawn.mean)} {where}, mean of {found.name}, spread {figure(drawn.sd)}; "
            f"{RATE:.0%} of healthy seeds miss it"
        )
        return Line(rounded(drawn.mean + sign * off, up=not found.higher), off, said)
    worst = min(values) if found.higher else max(values)
    few = "one run shows no spread" if drawn.n == 1 else f"{drawn.n} equal runs show no spread"
    few = f"{drawn.n} runs show too little of the spread" if 1 < drawn.n < SEEDS else few
    taken = "taken off" if found.higher else "added"
    said = (
        f"{found.role.name} {figure(worst)} {where} of {found.name}; {figure(guess)} {taken}, a guess: {few} "
        "(lvmcheck calibrate)"
    )
    return Line(rounded(worst + sign * guess, up=not found.higher), guess, said)


def useless(found: Measured, last: Line) -> bool:
    """Whether a bound asks nothing, because the seeds differ so much."""
    if found.higher:
        return last.value <= found.role.low
    means = statistics.fmean(float(curve.values[-1]) for curve in found.curves)
    highest = max(float(curve.values.max()) for curve in found.curves)
    return last.value > highest and last.value > USELESS * abs(means)


def _asked(found: Measured, epoch: str, bound: Line) -> Proposal:
    key = "at_least" if found.higher else "at_most"
    keys: dict[str, object] = {"metric": found.role.name, "epoch": epoch, key: bound.value}
    return Proposal(check_name="metric", keys=keys, source=bound.source, on=found.on)


def _begins(found: Measured, epoch: int) -> Proposal:
    """The bound of the first recorded epoch; a run that is far beyond it is stopped."""
    values = [float(curve.values[0]) for curve in found.curves]
    gains = [abs(float(curve.values[found.best(curve)]) - float(curve.values[0])) for curve in found.curves]
    share = FIRST_SHARE if found.higher else LOSS_SHARE
    guess = max(RISE_SHARE * max(gains), share * max(map(abs, values)))
    bound = line(found, values, epoch, guess)
    sign, low = (-1 if found.higher else 1), found.role.low if math.isfinite(found.role.low) else 0.0
    beyond = max(bound.off, DOOMED * abs(bound.value - low))
    abort = rounded(bound.value + sign * beyond, up=not found.higher)
    names = ("at_least", "abort_below") if found.higher else ("at_most", "abort_above")
    keys: dict[str, object] = {"metric": found.role.name, "epoch": epoch, names[0]: bound.value, names[1]: abort}
    return Proposal(check_name="metric", keys=keys, source=bound.source, on=found.on)


def _highest(found: Measured) -> Iterator[Proposal]:
    """A ceiling over all epochs."""
    tops = [float(curve.values.max()) for curve in found.curves]
    highest = max(tops)
    if highest <= 0:
        return
    curve = found.curves[tops.index(highest)]
    at = int(curve.epochs[int(curve.values.argmax())])
    bound, spread = float(f"{highest * (1 + LOSS_SHARE):.4g}"), line(found, tops, "of every run", 0.0)
    source = f"highest {found.role.name} {figure(highest)} at epoch {at} of {found.name}, and {LOSS_SHARE:.0%} of it"
    if spread.value > bound:
        bound, source = spread.value, spread.source.replace(found.role.name, f"highest {found.role.name}", 1)
    keys: dict[str, object] = {"metric": found.role.name, "at_most": bound}
    yield Proposal(check_name="plausible_range", keys=keys, source=source, on=found.on)


def wobble(curve: Series) -> float:
    """Median step between neighbouring epochs of the second half: what the end of a curve gives and takes by itself."""
    half = curve.values.tolist()[len(curve) // 2 :]
    steps = [abs(b - a) for a, b in pairwise(half)]
    return round(statistics.median(steps), DIGITS) if len(steps) > 1 else 0.0
