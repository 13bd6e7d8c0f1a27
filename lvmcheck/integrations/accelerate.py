"""An Accelerate tracker that writes a run directory: ``Accelerator(log_with=LvmcheckTracker("runs/mine"))``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.extras import need
from lvmcheck.integrations._plain import metrics_of, plain
from lvmcheck.integrations._watching import OnFail, Recording
from lvmcheck.run.recorder import Recorder

_tracking = need("accelerate.tracking", extra="peers", purpose="the Accelerate tracker")
_state: Any = need("accelerate.state", extra="peers", purpose="the Accelerate tracker")
_Base: Any = _tracking.GeneralTracker
_on_main_process: Any = _tracking.on_main_process
LOSSES = ("loss", "train_loss")


class LvmcheckTracker(_Base):  # type: ignore[misc]
    """Records ``accelerator.log``: values with ``epoch`` end that epoch, values with a loss are a step.

    Anything else becomes a probe. Log the loss of every optimizer step; where ``step`` says that some were left out,
    the run notes it, because steps are counted by what was logged. ``tracker.stop`` says when to stop, on every rank.

    Args:
        path: the run directory.
        seed: the run's seed.
        replace: move a run that is already there aside.
        watch: model and optimizer (and scheduler), as they are before ``accelerator.prepare``, to be watched from
            inside for silent errors from ``init_trackers`` on; ``tracker.recorder.watch`` does the same later.
        suite: a suite file whose checks judge the run while it is trained.
        on_fail: what else a failed check does: "stop" makes ``tracker.stop`` true, a function is given the verdict.
    """

    name = "lvmcheck"
    requires_logging_directory = False

    # On every rank: to ask which is the main one would set up Accelerate's state before its Accelerator does.
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        seed: int | None = None,
        replace: bool = False,
        watch: tuple[Any, ...] = (),
        suite: str | os.PathLike[str] | None = None,
        on_fail: OnFail | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(watch, tuple) or len(watch) == 1:
            problem = f"expected (model, optimizer), got {type(watch).__name__}: a tracker is not told what is trained"
            raise InputError("LvmcheckTracker", problem, key="watch")
        self.recording = Recording(path=path, replace=replace, suite=suite, on_fail=on_fail, looks=True)
        self.seed = seed
        self.watch = watch
        self.recorder: Recorder | None = None
        self._last: int | None = None
        self._noted = False

    @property
    def tracker(self) -> Recorder:
        """The recorder; made with an empty config where ``init_trackers`` was not called."""
        if self.recorder is None:
            self.recorder = self._start({})
        return self.recorder

    @property
    def stop(self) -> bool:
        """Whether to stop: the same answer on every rank, all of which must ask (Accelerate logs on the main one)."""
        mine = self.recorder is not None and self.recorder.stop
        state = _state.PartialState()
        if not state.use_distributed:
            return mine
        torch = import_module("torch")
        asked = torch.tensor(float(mine), device=state.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return bool(asked)

    def _start(self, config: Mapping[str, Any]) -> Recorder:
        rec = self.recording.start(config, self.seed)
        if self.watch:
            rec.watch(*self.watch)
        return rec

    @_on_main_process  # type: ignore[untyped-decorator]
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """The config; ``init_trackers`` hands it over before anything is logged."""
        self.recorder = self._start(plain(values))

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
