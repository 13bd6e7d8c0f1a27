"""hf_trainer_state: ``trainer_state.json`` of the Hugging Face Trainer, from an output folder or a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import SUMMARY, run_of
from lvmcheck.readers._files import head, inside, json_object, shown
from lvmcheck.readers._numbers import NotANumberError, axis, number
from lvmcheck.readers._rows import Row
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

NAME = "trainer_state.json"
OURS = {"loss": "train_loss", "learning_rate": "lr"}
TIMINGS = ("_runtime", "_per_second")
_NUMBER = re.compile(r"checkpoint-(\d+)")


def reads(path: Path) -> bool:
    found = _file(path)
    if found is None:
        return False
    start = head(found, 1 << 16).lstrip()
    return start.startswith(b"{") and b'"log_history"' in start


def _file(path: Path) -> Path | None:
    """The state in a folder: its own, else that of its checkpoint with the most steps."""
    if not path.is_dir():
        return path if path.is_file() else None
    if (path / NAME).is_file():
        return path / NAME
    found = [(int(hit[1]), entry / NAME) for entry in inside(path, "checkpoint-*") if (hit := _step(entry))]
    return max((item for item in found if item[1].is_file()), default=(0, None))[1]


def _step(entry: Path) -> re.Match[str] | None:
    return _NUMBER.fullmatch(entry.name)


def read(path: Path, asked: Asked | None = None) -> Run:
    """The log history as a run: training rows are windows (means since the row before), evaluations end epochs.

    ``loss`` is called train_loss, ``learning_rate`` lr, ``eval_*`` val_*. A gradient norm is that of the last step of
    its window. How long evaluations took is left out. An evaluation repeated after training at the same step is told
    as an evaluation of its own.

    Raises:
        InputError: not such a file, a row that is no object, a value that is no number, steps that go back.
    """
    place = _file(path)
    if place is None:
        raise InputError(path, f"expected {NAME} in it or in its checkpoint folders, got none")
    body = json_object(place)
    history = body.get("log_history")
    if history == []:
        raise _nothing(body, place)
    if not isinstance(history, list):
        raise InputError(place, f"expected a list of log rows, got {shown(history)}", key="log_history")
    rows, after, notes = _rows(history, place)
    columns = asked.columns if asked else {}
    done = _done(body, ended=bool(after))
    run = run_of(place, rows, columns=columns, done=done, after=after, notes=notes, means=True)
    whole = bool(run.of(ev.Epoch)) and not run.counts_evaluations
    run = replace(run, info={**run.info, "config": _config(body, whole=whole)})
    return run.extended(_end(body, run, whole=whole)) if done["status"] == "finished" else run


def _nothing(body: Mapping[str, Any], place: Path) -> InputError:
    """The error for a run that logged nothing, and why it did not where the state says so."""
    every, steps = body.get("logging_steps"), body.get("max_steps")
    fix = "Set logging_steps, and evaluate every epoch."
    if isinstance(every, int | float) and isinstance(steps, int) and every > steps > 0:
        fix = f"logging_steps is {every:g}, and it took {steps:,}: lower it."
    return InputError(place, "the run logged nothing: its log_history is empty", key="log_history", fix=fix)


def _end(body: Mapping[str, Any], run: Run, *, whole: bool) -> list[ev.Event]:
    """The end of a finished training, where nothing was logged there: a state is written before its last evaluation."""
    steps, planned = body.get("global_step"), body.get("num_train_epochs")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps <= run.step:
        return []
    if whole and isinstance(planned, int) and planned > run.last_epoch:
        return [ev.Epoch(epoch=planned, step=steps)]
    return [ev.Log(epoch=run.last_epoch + 1, step=steps)]


def _done(body: Mapping[str, Any], *, ended: bool) -> dict[str, Any]:
    """How the run ended: as planned, by one of the Trainer's callbacks, or not yet."""
    steps, planned, callbacks = body.get("global_step"), body.get("max_steps"), body.get("stateful_callbacks")
    if not isinstance(steps, int) or not isinstance(planned, int) or not 0 < steps < planned:
        return {"status": "finished"}
    states = callbacks if isinstance(callbacks, dict) else {}
    control = states.get("TrainerControl")
    arguments = control.get("args") if isinstance(control, dict) else None
    if ended or (isinstance(arguments, dict) and arguments.get("should_training_stop") is True):
        names = [str(name) for name in states if "Stop" in str(name)]
        return {"status": "stopped", "reason": f"{', '.join(names) or 'a callback'} at step {steps:,} of {planned:,}"}
    return {"status": "open", "reason": f"its state at step {steps:,} of {planned:,}"}


def _config(body: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """What the state says of the plan: steps, and epochs; under the Trainer's name where none of the run's is whole."""
    found = {name: body[name] for name in ("max_steps", "train_batch_size") if isinstance(body.get(name), int)}
    epochs = body.get("num_train_epochs")
    if isinstance(epochs, int) and not isinstance(epochs, bool):
        found["epochs" if whole else "num_train_epochs"] = epochs
    return found


def _rows(history: list[Any], place: Path) -> tuple[list[Row], list[ev.Event], list[str]]:
    rows: list[Row] = []
    after: list[ev.Event] = []
    evaluated: set[tuple[int | None, str]] = set()
    normed = False
    for index, entry in enumerate(history):
        values, epoch, step = _values(entry, index, place)
        if SUMMARY in values:
            after.append(ev.Evaluation(name="train_summary", metrics=values, about="the whole training"))
            continue
        is_eval = any(name.startswith("eval_") for name in values)
        again = is_eval and step is not None and any((step, name) in evaluated for name in values if _is_loss(name))
        if again:
            about = f"again at step {step or 0:,}, after training"
            after.append(ev.Evaluation(name="after_training", metrics=values, about=about))
            continue
        evaluated |= {(step, name) for name in values} if is_eval else set()
        normed = normed or "grad_norm" in values
        rows.append(
            Row(
                values={OURS.get(name, name): value for name, value in values.items() if not name.endswith(TIMINGS)},
                epoch=epoch,
                step=step,
                line=index + 1,
            )
        )
    return rows, after, ["grad_norm is that of the last step of each logging interval"] if normed else []


def _is_loss(name: str) -> bool:
    return name.startswith("eval_") and not name.endswith(TIMINGS)


def _values(entry: object, index: int, place: Path) -> tuple[dict[str, float], float | None, int | None]:
    where = f"log_history[{index}]"
    if not isinstance(entry, Mapping):
        raise InputError(place, f"expected an object, got {shown(entry)}", key=where)
    values: dict[str, float] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping | list):
            continue  # such as a confusion matrix: no metric by epoch
        try:
            found = number(value)
        except NotANumberError as problem:
            if isinstance(value, str | bool):
                continue
            raise InputError(place, f"expected a number, got {problem}", key=f"{where}.{name}") from None
        if found is not None:
            values[str(name)] = found
    epoch = values.pop("epoch", None)
    return values, epoch, axis(values.pop("step", None), "step", f"{place}: {where}", None)
