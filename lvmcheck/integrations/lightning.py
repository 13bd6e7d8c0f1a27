"""A Lightning callback that writes a run directory: ``Trainer(callbacks=[LvmcheckCallback("runs/mine")])``."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

from lvmcheck.extras import need
from lvmcheck.integrations._plain import metrics_of, plain, trainable
from lvmcheck.integrations._watching import OnFail, Recording, watched, watched_part
from lvmcheck.run.recorder import Recorder

_NAME = "pytorch_lightning" if importlib.util.find_spec("lightning") is None else "lightning.pytorch"
if importlib.util.find_spec(_NAME.partition(".")[0]) is None:
    _NAME = "lightning.pytorch"  # the one to install
_lightning: Any = need(_NAME, extra="peers", purpose="the Lightning callback")
_Base: Any = _lightning.Callback
_Module: Any = _lightning.LightningModule


class LvmcheckCallback(_Base):  # type: ignore[misc]
    """Records every optimizer step's loss and every epoch's logged metrics, and stops when it is asked to.

    The loss of a step is what ``training_step`` returned, summed over accumulated batches (Lightning divides each by
    their number). Metrics are those of ``self.log`` with ``on_epoch``; of several validations in an epoch the last
    counts. The sanity check is not recorded.

    Args:
        path: the run directory.
        replace: move a run that is already there aside.
        watch: watch the module from inside for silent errors, by default where that can be done; the name of a
            submodule watches that one (where ``training_step`` calls ``self.net`` and not ``self``).
        suite: a suite file whose checks judge the run while it is trained.
        on_fail: what else a failed check does: "stop" stops the trainer, a function is given the verdict.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        replace: bool = False,
        watch: bool | str | None = None,
        suite: str | os.PathLike[str] | None = None,
        on_fail: OnFail | None = None,
    ) -> None:
        self.recording = Recording(path=path, replace=replace, suite=suite, on_fail=on_fail)
        self.watch = watch
        self.recorder: Recorder | None = None
        self._watcher: Any = None
        self._losses: list[Any] = []
        self._lr: float | None = None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        config = plain(getattr(pl_module, "hparams", None) or {})
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            config["epochs"] = trainer.max_epochs
        seed = os.environ.get("PL_GLOBAL_SEED")
        known = int(seed) if seed is not None and seed.isdigit() else None
        self.recorder = self.recording.start(config, known)
        kind, parameters = trainable(pl_module)
        self.recorder.model(kind=kind, parameters=parameters)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self.recorder is None or not trainer.optimizers:
            return
        called = type(pl_module).forward is not _Module.forward
        part = watched_part(pl_module, self.watch, called)
        asked = self.watch if self.watch is None else bool(self.watch)
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        scheduler = schedulers[0] if len(schedulers) == 1 else None
        self._watcher = watched(self.recorder, asked, part, list(trainer.optimizers), scheduler)
        if self._watcher is not None:
            self._watcher.announce()  # automatic optimization computes gradients inside of step

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:  # noqa: ARG002
        self._lr = float(optimizer.param_groups[0]["lr"])
        if self._watcher is not None:
            self._watcher.gradients_complete(optimizer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        rec = self.recorder
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if rec is None:
            return
        if loss is not None:
            self._losses.append(loss.detach() if hasattr(loss, "detach") else loss)
        if trainer.global_step > rec.steps and self._losses:
            rec.step(loss=sum(self._losses), lr=self._lr)
            self._losses = []
        if rec.stop:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        rec = self.recorder
        if rec is None:
            return
        rec.epoch(trainer.current_epoch + 1, **metrics_of(_by_epoch(trainer.callback_metrics)))
        if rec.stop:
            trainer.should_stop = True

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        reason = _stopped_by(trainer)
        if self.recorder is not None and self.recorder.stop_reason is None and reason is not None:
            self.recorder.early(reason)
        self._close("stopped" if self.recorder is not None and self.recorder.stop_reason else "finished")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        status = "interrupted" if isinstance(exception, KeyboardInterrupt) else "failed"
        self._close(status, reason=f"{type(exception).__name__}: {exception}")

    def _close(self, status: str, reason: str | None = None) -> None:
        if self.recorder is not None:
            self.recorder.close(status, reason=reason or self.recorder.stop_reason)
            self.recorder = self._watcher = None


def _stopped_by(trainer: Any) -> str | None:
    """Why Lightning's own EarlyStopping ended the training; None where it did not."""
    for callback in getattr(trainer, "early_stopping_callbacks", ()):
        if getattr(callback, "stopped_epoch", 0) > 0:
            said = getattr(callback, "stopping_reason_message", None)
            return f"{type(callback).__name__}: {said or f'{callback.monitor} did not improve'}"
    return None


def _by_epoch(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """``x`` and ``x_epoch`` are one value, ``x_step`` is that of the last step."""
    names = set(metrics)
    pairs = {name.removesuffix("_epoch") for name in names if name.endswith("_epoch")}
    twice = {f"{name}{suffix}" for name in pairs for suffix in ("_step", "_epoch") if f"{name}_step" in names}
    epochs = {name: metrics[f"{name}_epoch"] for name in pairs if f"{name}_step" in names}
    return {**{name: value for name, value in metrics.items() if name not in twice}, **epochs}
