"""What a watcher says of its loop: measurements as events, numbers that come from the device later, and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from lvmcheck.checks.finding import Verdict
from lvmcheck.run.events import Watch
from lvmcheck.watch.guard import Guard
from lvmcheck.watch.loop import Sink
from lvmcheck.watch.modes import Modes
from lvmcheck.watch.readings import Readings
from lvmcheck.watch.unseen import unseen

SAME = 30
"""Equal measurements that are recorded."""


class Measuring:
    """Methods of the watcher that its collectors hand what they measured to."""

    step: int
    sampling: bool
    index: int
    guard: Guard
    modes: Modes
    readings: Readings
    _said: dict[str, tuple[object, int]]
    _sink: Sink
    _progress: Callable[[], tuple[int, int]]
    _unseen: tuple[str, ...] | None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What was found so far: one verdict for each check that failed or warned, in the order of first sight."""
        return tuple(self._sink.verdicts)

    @property
    def unseen(self) -> tuple[str, ...]:
        """What this watcher could not see so far, in a few words each; meant to be read after some steps."""
        return unseen(self) if self._unseen is None else self._unseen

    def emit(
        self, name: str, values: Mapping[str, float], subjects: Sequence[str] = (), step: int | None = None
    ) -> None:
        """Say what was measured; what has been the same many times in a row is not said again."""
        said, times = self._said.get(name, (None, 0))
        times = times + 1 if said == (values, subjects) else 0
        self._said[name] = ((values, subjects), times)
        if times > SAME:
            return
        epoch, at = self._progress()[0], self.now if step is None else step
        found = {**values, "watcher": self.index} if self.index else dict(values)
        self._sink.measured(Watch(name=name, epoch=epoch, step=at, subjects=tuple(subjects), values=found))

    def later(self, values: Tensor | Sequence[Tensor], use: Callable[[list[float], int], None]) -> None:
        """Call ``use(numbers, step)`` once these tensors have come from the device."""
        step = self.now
        self.readings.add(values, self.guard.hook("a measurement", lambda numbers: use(numbers, step)))

    @property
    def forwards(self) -> int:
        """Forward passes of training since the last step."""
        return self.modes.forwards

    @property
    def now(self) -> int:
        """The step under way where it is measured, else the last one."""
        return self.step + self.sampling

    @property
    def recorded(self) -> int:
        """Steps that the loop reported to its recorder."""
        return self._progress()[1]
