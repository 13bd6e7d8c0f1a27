"""A callback of the Hugging Face Trainer that writes a run directory: ``callbacks=[LvmcheckCallback("runs/mine")]``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lvmcheck.extras import need
from lvmcheck.integrations._plain import metrics_of, plain, trainable
from lvmcheck.integrations._watching import OnFail, Recording, watched
from lvmcheck.run.recorder import Recorder

_Base: Any = need("transformers", extra="peers", purpose="the callback for the Hugging Face Trainer").TrainerCallback
TIMINGS = ("_runtime", "_per_second", "_preparation_time")
MEANS = "the Trainer logs the mean loss of every logging interval: its steps are recorded with that mean"

FILTERED = "logging_nan_inf_filter is on: the Trainer leaves a NaN loss out of the mean, so no check can see it"


class LvmcheckCallback(_Base):  # type: ignore[misc]
    """Records training logs as windows of steps and evaluations as ends of epochs, and stops when it is asked to.

    Set ``logging_steps=1`` for a loss of every step. An evaluation strategy by steps makes the n-th evaluation epoch
    n; without evaluations every epoch ends without metrics. Steps are known when they are logged: an evaluation
    between two logs counts as at the former.

    Args:
        path: the run directory.
        replace: move a run that is already there aside.
        watch: watch the model from inside for silent errors; by default where that can be done.
        suite: a suite file whose checks judge the run while it is trained.
        on_fail: what else a failed check does: "stop" stops the trainer, a function is given the verdict.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        replace: bool = False,
        watch: bool | None = None,
        suite: str | os.PathLike[str] | None = None,
        on_fail: OnFail | None = None,
    ) -> None:
        self.recording = Recording(path=path, replace=replace, suite=suite, on_fail=on_fail)
        self.watch = watch
        self.recorder: Recorder | None = None
        self._by_epoch = True

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:  # noqa: ARG002
        config = {**plain(args.to_dict()), "epochs": int(args.num_train_epochs), "lr": args.learning_rate}
        strategy = str(getattr(args.eval_strategy, "value", args.eval_strategy))
        self._by_epoch, self._evaluates = strategy == "epoch", strategy != "no"
        if strategy == "steps" or args.max_steps > 0:
            del config["epochs"]  # evaluations are counted instead, or epochs end where the steps do
        rec = self.recorder = self.recording.start(config, args.seed)
        if model is not None:
            kind, parameters = trainable(model)
            rec.model(kind=kind, parameters=parameters)
        if args.logging_steps != 1:
            rec.note(MEANS)
        if args.logging_nan_inf_filter:
            rec.note(FILTERED)
        if strategy == "steps":
            rec.note("evaluations come by steps: the n-th evaluation counts as epoch n")
        if model is not None and more.get("optimizer") is not None:
            watched(rec, self.watch, model, more["optimizer"], more.get("lr_scheduler"))

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        rec, said = self.recorder, dict(logs or {})
        if rec is None or "train_runtime" in said or any(name.startswith("eval_") for name in said):
            return  # the summary has no step; evaluations come through on_evaluate, too
        count = state.global_step - rec.steps
        if "loss" in said:
            samples = args.per_device_train_batch_size * args.gradient_accumulation_steps * max(1, args.world_size)
            for index in range(count):
                last = index == count - 1
                norm = said.get("grad_norm") if last else None
                rec.step(loss=said["loss"], grad_norm=norm, lr=said.get("learning_rate"), samples=samples)
        self._stop(control)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        rec = self.recorder
        if rec is None or args is None:
            return
        found = metrics_of({name: v for name, v in (metrics or {}).items() if not name.endswith(TIMINGS)})
        if self._by_epoch:
            epoch = max(rec.epochs + 1, round(state.epoch or 0))
            rec.epoch(epoch, **found)
        else:
            rec.epoch(rec.epochs + 1, **found)
        self._stop(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self.recorder is not None and not self._evaluates:
            self.recorder.epoch(self.recorder.epochs + 1)
            self._stop(control)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self.recorder is not None:
            reason = self.recorder.stop_reason
            if reason is None and 0 < state.global_step < state.max_steps:
                self.recorder.early(_stopped_by(state))
            self.recorder.close("stopped" if reason else "finished", reason=reason)
            self.recorder = None

    def _stop(self, control: Any) -> None:
        if self.recorder is not None and self.recorder.stop:
            control.should_training_stop = True


def _stopped_by(state: Any) -> str:
    """What may have asked the Trainer to stop: the callbacks that can, by name."""
    names = [name for name in state.stateful_callbacks or {} if "Stop" in name]
    return f"stopped by {', '.join(names) or 'a callback'} at step {state.global_step:,} of {state.max_steps:,}"
