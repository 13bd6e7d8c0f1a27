"""Loss weights that a history does not state, recovered from its figures by least squares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOSS, TERM = "train_loss", "train_loss_"
EXACT = 1e-5
"""Largest relative residual of a sum that holds: histories are means of float32 losses."""
STEADY = 1e-3
"""The same beside a hidden term; the recorded ones leave up to 9e-4 of the loss."""
ROUND = 0.03
"""A fitted weight this near to a round number is that number: people write 0.5, not 0.5025."""
APART = 10.0
"""The loss must move this many times more than what a fit with a hidden term leaves, or a plateau fits anything."""
ALIKE = 1e6
"""Condition number above which terms move together, so that their weights cannot be told apart."""
HELD = 1e-4
"""Share of the loss below which a fitted term was only logged."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the optimised terms, and what the loss holds beside them.

    Args:
        weights: term -> weight.
        like: what the loss holds beside them: "" (nothing), "constant", or "1 - train cosine".
        factor: times what it is held.
        epochs: how many epochs the fit rests on.
        residual: largest difference left, relative to the loss of its epoch.
    """

    weights: Mapping[str, float]
    like: str
    factor: float
    epochs: int
    residual: float

    def sentence(self) -> str:
        terms = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        rest = f" and a constant {self.factor:.3g}" if self.like == "constant" else ""
        rest = rest or (f" and {self.factor:.3g} times {self.like}" if self.like else "")
        return (
            f"the weights are not recorded; least squares over {self.epochs} epochs give {terms}{rest} "
            f"(residual {self.residual:.1g})"
        )


def recover(run: Run) -> Weights | None:
    """Weights with which the logged terms add up to the logged loss, or None where nothing fits or they are stated.

    Terms that are 0 in every epoch were not computed and are left out. At least two more epochs than unknowns are
    needed. A sum without remainder is preferred; else a constant may remain, or a multiple of 1 - train cosine.
    """
    if run.windows or isinstance(run.config.get("loss"), Mapping):
        return None
    names = [name for name in run.metric_names if name.startswith(TERM) and any(run.series(name).values)]
    ends = [e for e in run.of(ev.Epoch) if LOSS in e.metrics and all(name in e.metrics for name in names)]
    rows = [[e.metrics[name] for name in names] for e in ends]
    losses = [e.metrics[LOSS] for e in ends]
    finite = all(map(math.isfinite, losses)) and all(math.isfinite(value) for row in rows for value in row)
    if not names or len(ends) < len(names) + 3 or not finite or not all(losses):
        return None
    import numpy as np

    cosines = [e.metrics.get("train_cosine", math.nan) for e in ends]
    usable = np.array(cosines) if all(map(math.isfinite, cosines)) else None
    return _fit(np.array(rows), np.array(losses), usable, [name.removeprefix(TERM) for name in names])


def _fit(terms: Floats, losses: Floats, cosines: Floats | None, names: list[str]) -> Weights | None:
    """``terms`` [epochs, terms], ``losses`` [epochs]; the bare sum first, then beside what usually hides."""
    import numpy as np

    hidden: dict[str, Floats | None] = {"": None, "constant": np.ones(len(losses))}
    if cosines is not None:
        hidden["1 - train cosine"] = 1 - cosines
    found = [_beside(terms, losses, names, like, column) for like, column in hidden.items()]
    moved = float((losses.max() - losses.min()) / np.abs(losses).max())
    allowed = min(STEADY, moved / APART)
    usable = [item for item in found if item is not None and item.residual <= (allowed if item.like else EXACT)]
    return min(usable, key=lambda item: (item.like != "", item.residual), default=None)


def _beside(terms: Floats, losses: Floats, names: list[str], like: str, column: Floats | None) -> Weights | None:
    """Round weights of the terms beside a hidden column; late epochs with a small loss count as much as early ones."""
    import numpy as np

    columns = (terms if column is None else np.column_stack([terms, column])) / losses[:, None]
    scale = np.abs(columns).max(axis=0)
    if not scale.all() or np.linalg.cond(columns / scale) > ALIKE:
        return None
    solution = np.linalg.lstsq(columns / scale, np.ones(len(losses)), rcond=None)[0] / scale
    weights = np.array([_rounded(float(weight)) for weight in solution[: len(names)]])
    weights[np.abs(weights * terms / losses[:, None]).max(axis=0) < HELD] = 0.0
    rest = losses - terms @ weights
    factor = 0.0 if column is None else float(np.median(rest / column))
    residual = float(np.abs((rest - (0.0 if column is None else factor * column)) / losses).max())
    kept = {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight}
    if not kept:
        return None
    return Weights(weights=kept, like=like, factor=factor, epochs=len(losses), residual=residual)


def _rounded(weight: float) -> float:
    """The number with one significant digit where it is near, else with four."""
    if weight == 0 or not math.isfinite(weight):
        return 0.0
    simple = float(f"{weight:.0e}")
    return simple if abs(weight - simple) <= ROUND * abs(weight) else float(f"{weight:.4g}")


def with_weights(run: Run) -> tuple[Run, Weights | None]:
    """The run with recovered weights as its config's ``loss``, so that checks of the loss can judge it."""
    found = recover(run)
    if found is None:
        return run, None
    config = {**run.config, "loss": dict(found.weights)}
    return replace(run, info={**run.info, "config": config}), found
