"""The series of a run, whatever was recorded, each with a role: by step (windows, probes) and by epoch (metrics)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lvmcheck.run import events as ev
from lvmcheck.run.role_names import Quantity, adversaries, words
from lvmcheck.run.roles import Direction, Role, Split, role, settle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

BY_STEP = "value"
"""The only value of a probe that is a metric logged by step."""
PARTS = 60
"""Parts of a run that a window need not be narrower than where others are much wider."""
PRIMARY = (
    *(Quantity.LOSS, Quantity.ERROR, Quantity.ACCURACY, Quantity.SCORE, Quantity.COSINE),
    *(Quantity.R2, Quantity.PERPLEXITY, Quantity.BITS, Quantity.REWARD),
)
"""Quantities that say how good a model is."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A series in the order of time; ``values`` are finite, ``missing`` counts the points that were not.

    Args:
        role: what it is.
        epochs, steps: where each point was recorded; steps are 0 where they are not known.
        by_step: recorded within epochs, not at their ends.
    """

    role: Role
    epochs: Ints
    steps: Ints
    values: Floats
    by_step: bool = False
    missing: int = 0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def name(self) -> str:
        return self.role.name

    def place(self, index: int) -> tuple[int | None, int | None]:
        """Epoch and step of a point, where they are known."""
        return int(self.epochs[index]) or None, int(self.steps[index]) or None


def curve(what: Role, points: Sequence[tuple[int, int, float]], *, by_step: bool = False) -> Curve:
    """A curve of (epoch, step, value); values that are not finite are left out and counted."""
    import numpy as np

    table = np.array(points, dtype=np.float64).reshape(-1, 3)
    finite = np.isfinite(table[:, 2])
    kept = table[finite]
    epochs, steps = kept[:, 0].astype(np.int64), kept[:, 1].astype(np.int64)
    return Curve(what, epochs, steps, kept[:, 2], by_step, int((~finite).sum()))


def _widths(steps: Ints) -> Floats:
    """Optimizer steps that each window stands for."""
    import numpy as np

    return np.maximum(np.diff(steps, prepend=0), 1).astype(np.float64)


def evened(windows: Curve) -> Curve:
    """Windows of few steps among wide ones as means over a sixtieth of the run, so that points weigh alike."""
    import numpy as np

    widths = _widths(windows.steps)
    least = min(float(windows.steps[-1]) // PARTS, float(widths.max())) if len(windows) else 0.0
    if len(windows) < 3 or widths.max() <= 4 * widths.min() or least <= 1:
        return windows
    starts, steps = [0], 0.0
    for index, width in enumerate(widths.tolist()[:-1]):
        steps += width
        if steps >= least or windows.epochs[index + 1] != windows.epochs[index]:
            starts.append(index + 1)
            steps = 0.0
    values = np.add.reduceat(windows.values * widths, starts) / np.add.reduceat(widths, starts)
    ends = np.append(starts[1:], len(windows)) - 1
    return Curve(windows.role, windows.epochs[ends], windows.steps[ends], values, True, windows.missing)


class Curves:
    """All series of a run by metric name, with what checks ask for most."""

    def __init__(
        self,
        epochs: Sequence[ev.Epoch],
        windows: Sequence[ev.Window],
        probes: Sequence[ev.Probe],
        declared: Mapping[str, Any] | None = None,
        watched: Sequence[ev.Watch] = (),
        *,
        counted: bool = False,
    ) -> None:
        self._epochs, self._windows, self._probes, self._counted = epochs, windows, probes, counted
        self._declared = declared or {}
        self._watched = watched
        self._found: dict[tuple[tuple[Quantity, ...], Split | None], list[Curve]] = {}

    # -- roles ---------------------------------------------------------------------------------------------------------
    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """What each metric is that an epoch or a probe by step recorded."""
        values: dict[str, list[float]] = {}
        for event in self._epochs:
            for name, value in event.metrics.items():
                values.setdefault(name, []).append(value)
        for probe in self._by_step:
            values.setdefault(probe.name, []).append(probe.values[BY_STEP])
        return settle([role(name, found, self._declared.get(name)) for name, found in values.items()])

    @cached_property
    def _by_step(self) -> list[ev.Probe]:
        return [probe for probe in self._probes if len(probe.values) == 1 and BY_STEP in probe.values]

    # -- series --------------------------------------------------------------------------------------------------------
    @cached_property
    def by_epoch(self) -> Mapping[str, Curve]:
        """Every metric by epoch, those without a finite value left out."""
        points: dict[str, list[tuple[int, int, float]]] = {}
        for event in self._epochs:
            for name, value in event.metrics.items():
                points.setdefault(name, []).append((event.epoch, event.step, value))
        made = {name: curve(self.roles[name], found) for name, found in points.items()}
        return {name: found for name, found in made.items() if len(found)}

    @cached_property
    def stepped(self) -> Mapping[str, Sequence[tuple[int, int, float]]]:
        """Epoch, step and value, finite or not, of every metric that is recorded within epochs."""
        points: dict[str, list[tuple[int, int, float]]] = {}
        for probe in self._by_step:
            points.setdefault(probe.name, []).append((probe.epoch, probe.step, probe.values[BY_STEP]))
        return points

    @cached_property
    def by_step(self) -> Mapping[str, Curve]:
        """Every metric that is recorded within epochs, without the windows."""
        made = {name: curve(self.roles[name], found, by_step=True) for name, found in self.stepped.items()}
        return {name: found for name, found in made.items() if len(found)}

    def of(self, *quantities: Quantity, split: Split | None = None) -> Iterator[Curve]:
        """Curves by epoch of these quantities (by step where there is none by epoch)."""
        asked = quantities, split
        if asked not in self._found:  # it is asked for each of thousands of curves, too
            names = (
                it for it, what in self.roles.items() if what.quantity in quantities and split in (None, what.split)
            )
            made = (self.by_epoch.get(name) or self.by_step.get(name) for name in names)
            self._found[asked] = [each for each in made if each is not None]
        return iter(self._found[asked])

    # -- the training loss ---------------------------------------------------------------------------------------------
    @cached_property
    def window_losses(self) -> Curve | None:
        """Mean loss of each window of steps."""
        if not self._windows:
            return None
        what = Role("train_loss", Quantity.LOSS, Split.TRAIN, Direction.LOWER)
        points = [(window.epoch, window.last_step, window.loss_mean) for window in self._windows]
        found = curve(what, points, by_step=True)
        return found if len(found) else None

    @cached_property
    def epoch_losses(self) -> Curve | None:
        """Training loss by epoch: the metric, else :attr:`epoch_means`."""
        named = next(self.of(Quantity.LOSS, split=Split.TRAIN), None)
        return named if named is not None and not named.by_step else self.epoch_means or named

    @cached_property
    def epoch_means(self) -> Curve | None:
        """Mean loss of the steps of each epoch, from windows; of the steps before each evaluation where these count."""
        import numpy as np

        windows = self.window_losses
        if windows is not None and self._counted:
            windows = self._by_evaluation(windows)
        if windows is None or not len(windows):
            return None
        starts = np.flatnonzero(np.diff(windows.epochs, prepend=-1))
        epochs = windows.epochs[starts]
        weights = _widths(windows.steps)
        means = np.add.reduceat(windows.values * weights, starts) / np.add.reduceat(weights, starts)
        ends = windows.steps[np.append(starts[1:], len(windows)) - 1]
        return Curve(windows.role, epochs, ends, means)

    def _by_evaluation(self, windows: Curve) -> Curve:
        """The windows up to the last evaluation, in the epoch of the evaluation that follows them."""
        import numpy as np

        number = np.searchsorted([event.step for event in self._epochs], windows.steps)
        kept = number < len(self._epochs)
        return Curve(windows.role, number[kept] + 1, windows.steps[kept], windows.values[kept], True, windows.missing)

    @cached_property
    def train(self) -> Curve | None:
        """The training loss in the finest series that there is: windows where they outnumber the epochs."""
        windows, epochs = self.window_losses, self.epoch_losses
        if windows is None or (epochs is not None and len(epochs) > len(windows)):
            return epochs
        return evened(windows)

    @cached_property
    def validation(self) -> tuple[Curve, ...]:
        """Validation losses, of every evaluation set; errors where no loss is recorded."""
        losses = tuple(self.of(Quantity.LOSS, split=Split.VALIDATION))
        return losses or tuple(self.of(Quantity.ERROR, split=Split.VALIDATION))

    def partner(self, curve: Curve) -> Curve | None:
        """What was measured on the training set as ``curve`` was on another; the training loss where nothing was."""
        what = curve.role
        found = self._trained.get((what.quantity, what.group, words(curve.name)[-1]))
        return found or (self.epoch_losses if what.quantity in (Quantity.LOSS, Quantity.ERROR) else None)

    @cached_property
    def _trained(self) -> Mapping[tuple[Quantity, str, str], Curve]:
        """The first curve of the training split of each quantity, group and last word of a name."""
        curves = reversed(list(self.of(*Quantity, split=Split.TRAIN)))
        return {(each.role.quantity, each.role.group, words(each.name)[-1]): each for each in curves}

    @cached_property
    def scores(self) -> tuple[Curve, ...]:
        """Metrics with a direction other than losses: accuracies, rewards, error rates, cosines, perplexity."""
        return tuple(self.of(*(quantity for quantity in PRIMARY if quantity is not Quantity.LOSS)))

    @cached_property
    def evaluations(self) -> tuple[Curve, ...]:
        """Validation losses and every score that is not one of the training split."""
        return (*self.validation, *(found for found in self.scores if found.role.split is not Split.TRAIN))

    @cached_property
    def adversarial(self) -> bool:
        """Whether two players' losses are recorded, or two models watched: such losses oscillate by design.

        Models that every backward pass reaches learn from one loss, and are no players.
        """
        names = {name for window in self._windows[:1] for name in window.terms} | set(self.roles)
        several = [event for event in self._watched if event.name == ev.MODELS]
        return adversaries(names) or (bool(several) and not any(event.values.get("joint") for event in several))

    @cached_property
    def rewards(self) -> tuple[Curve, ...]:
        return tuple(self.of(Quantity.REWARD))

    # -- the optimizer -------------------------------------------------------------------------------------------------
    @cached_property
    def rate(self) -> Curve | None:
        """Learning rate: of windows, else the first one recorded by step or by epoch."""
        return self._of_windows("lr", Quantity.LEARNING_RATE)

    @cached_property
    def gradient(self) -> Curve | None:
        """Gradient norm: mean of windows (the largest where no mean is stated), else as recorded by step or epoch."""
        mean = self._of_windows("grad_norm_mean", Quantity.GRAD_NORM)
        return mean or self._of_windows("grad_norm_max", Quantity.GRAD_NORM)

    def _of_windows(self, field: str, quantity: Quantity) -> Curve | None:
        what = Role(field, quantity, Split.TRAIN)
        said = [(w.epoch, w.last_step, getattr(w, field)) for w in self._windows if getattr(w, field) is not None]
        if said:
            found = curve(what, said, by_step=True)
            shown = found if quantity is Quantity.LEARNING_RATE else evened(found)
            return shown if len(found) or found.missing else None
        named = [name for name, known in self.roles.items() if known.quantity is quantity]
        stepped = [self.by_step[name] for name in named if name in self.by_step]
        if stepped:
            return max(stepped, key=len)
        return next((self.by_epoch[n] for n in named if n in self.by_epoch), None) or self._of_watch(what)

    def _of_watch(self, what: Role) -> Curve | None:
        """The same as the watcher of the first model measured it at sampled steps, where the loop reports nothing."""
        rate = what.quantity is Quantity.LEARNING_RATE
        name, key = ("movement", "learning_rate") if rate else ("gradient_norm", "norm")
        of_first = [e for e in self._watched if e.name == name and key in e.values and not e.values.get("watcher")]
        found = curve(what, [(event.epoch, event.step, event.values[key]) for event in of_first], by_step=True)
        return found if len(found) else None

    # -- what nobody can read ------------------------------------------------------------------------------------------
    @cached_property
    def unrecognised(self) -> tuple[str, ...]:
        """The names of all metrics, where none of them is known for a loss, a score or a reward."""
        if self.window_losses is not None or {*PRIMARY, Quantity.TERM} & {it.quantity for it in self.roles.values()}:
            return ()
        known = (Quantity.LEARNING_RATE, Quantity.GRAD_NORM, Quantity.COUNT)
        return tuple(name for name, what in self.roles.items() if what.quantity not in known)
