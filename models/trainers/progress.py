"""Where a run stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.checkpoints.state import TrainingState
from models.metrics import SampleMean


@dataclass
class Progress:
    """Where a run stands, and all it has summed up so far.

    Attributes:
        epoch: the current one, 1-based. batch: batches of it that are done. step: optimizer steps since the beginning.
        best: lowest validation loss so far. rows: the exported history. sums: running means of the current epoch.
    """

    sums: SampleMean
    epoch: int = 1
    batch: int = 0
    step: int = 0
    best: float | None = None
    rows: list[dict[str, float]] = field(default_factory=list)

    def next_epoch(self) -> None:
        """Moves to the start of the next epoch."""
        self.epoch, self.batch = self.epoch + 1, 0
        self.sums = SampleMean(self.sums.names, self.sums.sums.device)

    def state(self) -> TrainingState:
        """All of it, for :meth:`load`."""
        values = {name: getattr(self, name) for name in ("epoch", "batch", "step", "best", "rows")}
        return TrainingState({"sums": self.sums.sums.cpu().clone()}, {**values, "count": self.sums.count})

    def load(self, state: TrainingState) -> None:
        """Continues from what :meth:`state` gave."""
        for name in ("epoch", "batch", "step", "best", "rows"):
            setattr(self, name, state.values[name])
        self.sums.sums.copy_(state.tensors["sums"])
        self.sums.count = state.values["count"]
