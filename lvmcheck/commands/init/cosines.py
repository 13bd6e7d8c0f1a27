"""Floors for the cosines of one run, which has baselines of its data beside its curve."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lvmcheck.checks.shared.baselines import NAMES, baselines
from lvmcheck.checks.wording import figure
from lvmcheck.commands.init.bounds import RISE_SHARE, wobble
from lvmcheck.commands.init.proposal import Proposal
from lvmcheck.run.view import Run, Series

OFF_FIRST, OFF_LAST = 0.03, 0.01
"""Taken off a cosine at its first and last epoch. One run shows no spread; seeds of amn_790k differ by .014, .001."""
PLACES = 4
SCALE = 10.0**PLACES


def is_cosine(metric: str) -> bool:
    return metric.endswith("cosine") or metric.startswith("ood_cosine")


def cosine(run: Run, curve: Series, name: str) -> Iterator[Proposal]:
    """Floors at the first and the last epoch, and beside the baselines of the data."""
    first, last = int(curve.epochs[0]), int(curve.epochs[-1])
    if first < run.last_epoch:
        yield _begins(run, curve, name)
    value, off = float(curve.values[-1]), OFF_LAST + wobble(curve)
    keys = {"metric": curve.name, "epoch": "final", "floor": _below(value, off)}
    yield Proposal(
        check_name="cosine_floor", keys=keys, source=_taken(curve.name, value, last, name, off), on=run.data_name
    )
    yield from _relative(run, curve, name, off)


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


def _taken(metric: str, value: float, epoch: int, name: str, off: float) -> str:
    return f"{_figure(metric, value, epoch, name)}; {off:.4f} taken off (one run shows no spread: lvmcheck calibrate)"


def _figure(metric: str, value: float, epoch: int, name: str) -> str:
    return f"{metric} {figure(value)} at epoch {epoch} of {name}"


def _below(value: float, off: float) -> float:
    return max(-1.0, _down(value - off))


def _down(value: float) -> float:
    """Rounded down, but for the last bit of a difference that is round."""
    return math.floor(value * SCALE + 1e-6) / SCALE
