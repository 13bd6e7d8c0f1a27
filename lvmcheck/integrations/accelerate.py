"""An Accelerate tracker that writes a run directory: ``Accelerator(log_with=LvmcheckTracker("runs/mine"))``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lvmcheck.extras import need
from lvmcheck.integrations._plain import metrics_of, plain
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.start import record

_tracking = need("accelerate.tracking", extra="peers", purpose="the Accelerate tracker")
_Base: Any = _tracking.GeneralTracker
_on_main_process: Any = _tracking.on_main_process
LOSSES = ("loss", "train_loss")


class LvmcheckTracker(_Base):  # type: ignore[misc]
    """Records ``accelerator.log``: values with ``epoch`` end that epoch, values with a loss are a step.

    Anything else becomes a probe. Log the loss of every optimizer step; where ``step`` says that some were left out,
    the run notes it, because steps are counted by what was logged. ``tracker.recorder.stop`` says when to stop.

    Args:
        path: the run directory.
        seed: the run's seed.
        replace: move a run that is already there aside.
    """

    name = "lvmcheck"
    requires_logging_directory = False

    @_on_main_process  # type: ignore[untyped-decorator]
    def __init__(self, path: str | os.PathLike[str], *, seed: int | None = None, replace: bool = False) -> None:
        super().__init__()
        self.path = path
        self.seed = seed
        self.replace = replace
        self.recorder: Recorder | None = None
        self._last: int | None = None
        self._noted = False

    @property
    def tracker(self) -> Recorder:
        """The recorder; made with an empty config where ``init_trackers`` was not called."""
        if self.recorder is None:
            self.recorder = record(self.path, seed=self.seed, replace=self.replace)
        return self.recorder

    @_on_main_process  # type: ignore[untyped-decorator]
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """The config; ``init_trackers`` hands it over before anything is logged."""
        self.recorder = record(self.path, config=plain(values), seed=self.seed, replace=self.replace)

    @_on_main_process  # type: ignore[untyped-decorator]
    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """One ``accelerator.log`` call."""
        rec, found = self.tracker, metrics_of(values)
        epoch = values.get("epoch")
        if epoch is not None:
            rec.epoch(int(epoch), **found)
            return
        loss = next((name for name in LOSSES if name in found), None)
        if loss is None:
            rec.probe("log", found)
            return
        rate = found.get("lr", found.get("learning_rate"))
        rec.step(loss=found[loss], lr=rate, grad_norm=found.get("grad_norm"))
        if step is not None and self._last is not None and step - self._last != 1 and not self._noted:
            rec.note(f"step {step:,} was logged after step {self._last:,}: steps are counted by what was logged")
            self._noted = True
        self._last = step

    @_on_main_process  # type: ignore[untyped-decorator]
    def finish(self) -> None:
        """``accelerator.end_training()`` ends the run."""
        if self.recorder is not None:
            reason = self.recorder.stop_reason
            self.recorder.close("stopped" if reason else "finished", reason=reason)
