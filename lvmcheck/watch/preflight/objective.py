"""How the loss of a batch is computed: ``loss(model, batch)``, ``loss(output, target)``, or the model's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.watch.measure.batches import main_output

MODELS = frozenset({"model", "module", "net", "network", "m", "generator", "policy"})
BATCHES = frozenset({"batch", "b", "data"})
TARGETS = ("labels", "label", "targets", "target", "y")


class Form(StrEnum):
    """Who calls the model."""

    MODEL_BATCH = "loss(model, batch)"
    OUTPUT_TARGET = "loss(output, target)"
    OWN = "model(**batch).loss"
    TRAINING_STEP = "model.training_step(batch, 0)"


class BadBatchError(Exception):
    """The loss of the batch cannot be computed as asked; ``key`` is the argument at fault."""

    def __init__(self, key: str, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.key, self.problem, self.fix = key, problem, fix


class Objective:
    """The loss of a model on a batch, one scalar tensor.

    A function is called as ``loss(model, batch)`` if its first parameter is called model, module, net, network, m,
    generator or policy, or is annotated as a Module, or if its second one is called batch, b or data. Any other one,
    and every nn.Module, is called as ``loss(output, target)``: the target is the last element of a tuple or the entry
    labels, label, targets, target or y of a mapping, everything else goes to the model; a bare tensor is both. Without
    a function, the model has a ``training_step``, or its output a ``.loss``.
    """

    def __init__(self, loss: Any, model: nn.Module) -> None:
        self.function: Callable[..., Any] | None = loss
        self.form = _form(loss, model)

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        return _scalar(self._raw(model, batch), self.form)

    def _raw(self, model: Any, batch: Any) -> Any:
        if self.form is Form.TRAINING_STEP:
            return model.training_step(batch, 0)
        if self.form is Form.OWN:
            return _own(call_model(model, batch), model)
        assert self.function is not None
        if self.form is Form.MODEL_BATCH:
            return self.function(model, batch)
        inputs, target = split(batch)
        output = call_model(model, inputs)
        tensor = main_output(output) if isinstance(output, Mapping) or hasattr(output, "logits") else output
        return self.function(tensor, target)


def split(batch: Any) -> tuple[Any, Any]:
    """Inputs and target."""
    if isinstance(batch, Tensor):
        return batch, batch
    if isinstance(batch, Mapping):
        key = next((key for key in TARGETS if key in batch), None)
        if key is None:
            names = ", ".join(map(str, batch))
            fix = "Name the target labels, or pass loss as a function of (model, batch)."
            raise BadBatchError("batch", f"no entry is called {' or '.join(TARGETS)} among {names}", fix)
        return {name: value for name, value in batch.items() if name != key}, batch[key]
    if isinstance(batch, tuple | list) and len(batch) > 1:
        inputs = tuple(batch[:-1])
        return (inputs[0] if len(inputs) == 1 else inputs), batch[-1]
    kind = f"a {type(batch).__name__} of 1" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
    raise BadBatchError("batch", f"expected (inputs, target), got {kind}", "Pass loss as a function of (model, batch).")


def call_model(model: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def _form(loss: Any, model: nn.Module) -> Form:
    if loss is None:
        return Form.TRAINING_STEP if callable(getattr(model, "training_step", None)) else Form.OWN
    if not callable(loss):
        fix = "Pass a function of (model, batch) or of (output, target)."
        raise BadBatchError("loss", f"expected a function, got {type(loss).__name__}", fix)
    return Form.MODEL_BATCH if not isinstance(loss, nn.Module) and _takes_model(loss) else Form.OUTPUT_TARGET


def _takes_model(loss: Callable[..., Any]) -> bool:
    try:
        parameters = list(inspect.signature(loss).parameters.values())
    except (TypeError, ValueError):
        return False
    if len(parameters) < 2:
        fix = "Pass a function of (model, batch) or of (output, target)."
        raise BadBatchError("loss", f"expected a function of 2 arguments, got {len(parameters)}", fix)
    first, second = parameters[:2]
    module = isinstance(first.annotation, type) and issubclass(first.annotation, nn.Module)
    return module or first.name in MODELS or second.name in BATCHES


def _own(output: Any, model: nn.Module) -> Any:
    value = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if value is None:
        kind = type(model).__name__
        fix = "Pass loss=, a function of (model, batch) or of (output, target), or a batch with labels."
        raise BadBatchError("loss", f"none was given, and the output of {kind} has no .loss", fix)
    return value


def _scalar(value: Any, form: Form) -> Tensor:
    if isinstance(value, Mapping) and "loss" in value:
        value = value["loss"]
    fix = "Return one scalar tensor, such as the mean over the batch."
    if not isinstance(value, Tensor):
        raise BadBatchError("loss", f"{form} returns a {type(value).__name__}, expected a tensor", fix)
    if value.numel() != 1:
        raise BadBatchError("loss", f"{form} returns a tensor of shape {list(value.shape)}, expected a scalar", fix)
    if not value.is_floating_point():
        raise BadBatchError("loss", f"{form} returns a tensor of type {value.dtype}, expected floating point", fix)
    return value.reshape(()) if value.ndim else torch.as_tensor(value)
