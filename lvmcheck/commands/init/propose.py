"""Checks that a recorded run supports: floors from its curve and its data, and what passed on it.

Every proposal is judged on the run before it is made, so a suite never requires what its own source does not show.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import Check, check_names, judge, load_check
from lvmcheck.checks.shared.baselines import NAMES, baselines
from lvmcheck.checks.wording import figure, outcome_text
from lvmcheck.run.view import Run, Series

OFF_FIRST, OFF_LAST = 0.03, 0.01
"""Taken off a cosine at its first and last epoch. One run shows no spread; seeds of amn_790k differ by .014, .001."""
RISE_SHARE = 0.25
"""Share of what is gained later that is taken off the first epoch where that is more: a steep curve differs by seed."""
LOSS_SHARE = 0.25
"""Share of the highest loss that is added for its bound."""
PLACES = 4
SCALE = 10.0**PLACES
LOSSES = ("loss", "perplexity", "bits_per_byte")
SHARES = ("exact_match", "accuracy")


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One ``[[check]]`` to be written.

    Args:
        check_name: name of the check. keys: its keys.
        source: which figure of which run it comes from, and what was taken off.
        on: name of the data that its bound belongs to, or None where it holds on any.
        name: its own name, where the check's label would stand twice.
    """

    check_name: str
    source: str
    keys: dict[str, object] = field(default_factory=dict)
    on: str | None = None
    name: str | None = None

    def check(self) -> Check:
        return load_check(self.check_name)(**self.keys)


def propose(run: Run, name: str) -> tuple[list[Proposal], list[str]]:
    """Proposals that pass on the run, floors first, and a sentence for each check that fails on it.

    Args:
        name: what the run is called in the sources.
    """
    passing: list[Proposal] = []
    left_out = []
    for proposal in (*floors(run, name), *general_checks(name)):
        check = proposal.check()
        if any(other.check().label() == check.label() and other.name == proposal.name for other in passing):
            continue
        outcome = judge(check, run)
        if outcome.status is Status.PASSED:
            passing.append(proposal)
        elif outcome.status in (Status.FAILED, Status.WARNING):
            left_out.append(f"{check.label()} {outcome.status.value}: {outcome_text(outcome)}")
    return passing, left_out


def floors(run: Run, name: str) -> Iterator[Proposal]:
    """Bounds from each metric's curve, and from the baselines of the data where the run records them."""
    for metric in run.metric_names:
        curve = run.series(metric)
        if not all(map(math.isfinite, curve.values.tolist())):
            continue
        if metric.endswith("cosine") or metric.startswith("ood_cosine"):
            yield from _cosine(run, curve, name)
        elif metric.endswith(LOSSES):
            yield from _loss(run, curve, name)
        elif metric.endswith(SHARES):
            yield from _gain(curve, name, by=run.last_epoch)


# -- cosines -----------------------------------------------------------------------------------------------------------
def _cosine(run: Run, curve: Series, name: str) -> Iterator[Proposal]:
    first, last = int(curve.epochs[0]), int(curve.epochs[-1])
    if first < run.last_epoch:
        yield _begins(run, curve, name)
    if last != run.last_epoch:
        return
    value, off = float(curve.values[-1]), OFF_LAST + wobble(curve)
    keys = {"metric": curve.name, "epoch": "final", "floor": _below(value, off)}
    yield Proposal(
        check_name="cosine_floor", keys=keys, source=_taken(curve.name, value, last, name, off), on=run.data_name
    )
    yield from _relative(run, curve, name, off)
    yield from _gain(curve, name, by=min(5, run.last_epoch))


def _begins(run: Run, curve: Series, name: str) -> Proposal:
    """The floor of the first recorded epoch; as far again below it a run is stopped."""
    value, epoch = float(curve.values[0]), int(curve.epochs[0])
    off = max(OFF_FIRST, RISE_SHARE * (max(curve.values.tolist()) - value))
    keys: dict[str, object] = {"metric": curve.name, "epoch": epoch, "floor": _below(value, off)}
    source = _taken(curve.name, value, epoch, name, off)
    return Proposal(
        check_name="cosine_floor", keys=keys | {"abort_below": _below(value, 2 * off)}, source=source, on=run.data_name
    )


def _relative(run: Run, curve: Series, name: str, off: float) -> Iterator[Proposal]:
    """A floor beside the best baseline that the data have; it holds on any data, so it names none."""
    known = {key: value for key, value in baselines(run, curve.name).items() if key != NAMES[-1]}
    if not known or curve.name.startswith("train"):  # the baselines are those of the validation data
        return
    best = max(known, key=known.__getitem__)
    value = float(curve.values[-1])
    margin = _down(value - known[best] - off)
    sign = "+" if margin >= 0 else "-"
    source = (
        f"{_figure(curve.name, value, run.last_epoch, name)}, {value - known[best]:+.4f} from the "
        f"{best.replace('_', ' ')} of its data ({figure(known[best])}); {off:.4f} taken off"
    )
    keys: dict[str, object] = {"metric": curve.name, "epoch": "final", "floor": f"{best} {sign} {abs(margin):.4f}"}
    yield Proposal(check_name="cosine_floor", keys=keys, source=source, name=f"{curve.name}@final of the data")
    if value >= max(known.values()):
        source = f"{_figure(curve.name, value, run.last_epoch, name)} is above every trivial predictor of its data"
        yield Proposal(check_name="beats_baselines", keys={"metric": curve.name}, source=source)


def wobble(curve: Series) -> float:
    """Median step between neighbouring epochs of the second half: what the end of a curve gives and takes by itself."""
    half = curve.values.tolist()[len(curve) // 2 :]
    steps = [abs(b - a) for a, b in pairwise(half)]
    return round(statistics.median(steps), PLACES) if len(steps) > 1 else 0.0


# -- other metrics -----------------------------------------------------------------------------------------------------
def _loss(run: Run, curve: Series, name: str) -> Iterator[Proposal]:
    """An upper bound over all epochs, for what is recorded to the end."""
    values = curve.values.tolist()
    highest = max(values)
    if int(curve.epochs[-1]) != run.last_epoch or highest <= 0:
        return
    bound = float(f"{highest * (1 + LOSS_SHARE):.4g}")
    at = int(curve.epochs[values.index(highest)])
    source = f"highest {_figure(curve.name, highest, at, name)}, and {LOSS_SHARE:.0%} of it"
    yield Proposal(
        check_name="plausible_range", keys={"metric": curve.name, "at_most": bound}, source=source, on=run.data_name
    )


def _gain(curve: Series, name: str, *, by: int) -> Iterator[Proposal]:
    """Half of the best gain over the first epoch, where there was one beyond noise."""
    early = [value for epoch, value in zip(curve.epochs.tolist(), curve.values.tolist(), strict=True) if epoch <= by]
    gain = max(early) - early[0] if len(early) > 1 else 0.0
    if by < 2 or gain < OFF_LAST:
        return
    required = _down(gain / 2)
    source = f"{curve.name} gained {gain:.4f} by epoch {by} of run {name}; half of it"
    yield Proposal(
        check_name="improves", keys={"metric": curve.name, "by_epoch": by, "min_gain": required}, source=source
    )


# -- checks without bounds of their own --------------------------------------------------------------------------------
def general_checks(name: str) -> Iterator[Proposal]:
    """Every check that needs no keys."""
    for check_name in check_names():
        kind = load_check(check_name)
        fields = dataclasses.fields(kind)
        if any(f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING for f in fields):
            continue
        try:
            kind()
        except ValueError:  # it needs one of two keys
            continue
        bounds = "universal" if kind.universal else "usual bounds"
        yield Proposal(check_name=check_name, source=f"{bounds}; passed on run {name}")


def _taken(metric: str, value: float, epoch: int, name: str, off: float) -> str:
    return f"{_figure(metric, value, epoch, name)}; {off:.4f} taken off (one run shows no spread: lvmcheck calibrate)"


def _figure(metric: str, value: float, epoch: int, name: str) -> str:
    return f"{metric} {figure(value)} at epoch {epoch} of run {name}"


def _below(value: float, off: float) -> float:
    return max(-1.0, _down(value - off))


def _down(value: float) -> float:
    """Rounded down, but for the last bit of a difference that is round."""
    return math.floor(value * SCALE + 1e-6) / SCALE
