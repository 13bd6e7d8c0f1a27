"""``lvmcheck.preflight``: model, loss and optimizer on one batch, before the first step."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lvmcheck.run.preflights import Waiting, leave
from lvmcheck.run.values import misused
from lvmcheck.watch.found import away
from lvmcheck.watch.preflight.nested import leaves
from lvmcheck.watch.preflight.objective import BadBatchError, Form, Objective
from lvmcheck.watch.preflight.protocol import one_line, probes, verdict
from lvmcheck.watch.preflight.report import Report
from lvmcheck.watch.preflight.setup import Setup

_QUIET = ("log", "log_dict", "print")
"""Methods of a LightningModule that need a trainer."""


def preflight(
    model: nn.Module,
    batch: Any,
    loss: Any = None,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    scheduler: Any = None,
    *,
    classes: int | None = None,
    causal: bool | None = None,
    frozen: Sequence[str] = (),
    adapters: Sequence[str] = (),
    budget_s: float = 5.0,
    only: Sequence[str] | None = None,
) -> Report:
    """Check model, loss and optimizer on one batch; everything is as before afterwards, bit for bit.

    A run that is recorded afterwards holds what failed, if it watches this model or no model at all.

    Args:
        model: the module that is trained.
        batch: one batch as the loader gives it: tensors in any tuples, lists, dicts and dataclasses.
        loss: ``loss(model, batch)`` or ``loss(output, target)`` (see
            :class:`lvmcheck.watch.preflight.objective.Objective` for how they are told apart); by default the model's
            ``training_step``, or the ``.loss`` of its output.
        optimizer: one or several; by default those of ``configure_optimizers``, if the model has it.
        scheduler: learning rate scheduler, or several; part of checkpoints and of the steps that are compared.
        classes: number of classes, where it is not the width of the logits.
        causal: positions are ordered, and none may see a later one; by default detected for language models.
        frozen: patterns of parameter names that must not move, beside those without ``requires_grad``.
        adapters: patterns of parameter names of adapters, beside the usual names.
        budget_s: seconds that it may take; what it does not get to is not recorded.
        only: names of probes; by default all of them.

    Raises:
        InputError: model, batch, loss or optimizer cannot be used as they are.
    """
    began = time.perf_counter()
    model = getattr(model, "_orig_mod", model)
    _check_model(model)
    optimizers, schedulers = _optimizers(model, optimizer, scheduler)
    chosen = _chosen(only)
    with away(), _quiet(model), torch.enable_grad():
        try:
            objective = Objective(loss, model)
            _check_batch(batch)
            setup = Setup(
                model, batch, objective, optimizers, schedulers,
                classes=classes, causal=causal, frozen=frozen, adapters=adapters, budget=budget_s,
            )  # fmt: skip
            _try_once(setup)
        except BadBatchError as bad:
            raise misused(bad.key, bad.problem, bad.fix) from None
        verdicts = tuple(verdict(probe, setup) for probe in chosen)
    fixes = {probe.name: _fix(probe.fixes, found) for probe, found in zip(chosen, verdicts, strict=True)}
    report = Report(
        model=type(model).__name__,
        verdicts=verdicts,
        fixes={name: fix for name, fix in fixes.items() if fix},
        seconds=time.perf_counter() - began,
    )
    leave(Waiting(model, report.subjects, report.values))
    return report


def _fix(fixes: Any, found: Any) -> str:
    return str(fixes.get(found.finding.code, "")) if found.finding is not None else ""


def _chosen(only: Sequence[str] | None) -> list[Any]:
    known = {probe.name: probe for probe in probes()}
    for name in only or ():
        if name not in known:
            raise misused("only", f"no probe is called {name!r}", f"Probes: {', '.join(sorted(known))}.")
    return [probe for name, probe in known.items() if only is None or name in only]


# -- input -------------------------------------------------------------------------------------------------------------
def _check_model(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise misused("model", f"expected a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        fix = "Check the module that was scripted."
        raise misused("model", "a scripted module calls no Python hooks and cannot be checked", fix)
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise misused("model", "has parameters without a shape yet", "Run one forward pass before preflight.")
    if next(model.parameters(), None) is None:
        raise misused("model", f"{type(model).__name__} has no parameters", "Pass the module that is trained.")


def _check_batch(batch: Any) -> None:
    if not leaves(batch):
        fix = "Pass one batch as the loader gives it, such as next(iter(loader))."
        raise BadBatchError("batch", f"expected tensors in tuples, lists or dicts, got {type(batch).__name__}", fix)


def _try_once(setup: Setup) -> None:
    """Compute the loss once, so that bad input is one error and not one of every probe."""
    fix = "Call loss and model on this batch by hand, and mend the shapes, types or devices."
    try:
        with setup.restored(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            setup.train()
            setup.loss()
    except BadBatchError:
        raise
    except Exception as problem:
        form = setup.objective.form
        key = "batch" if form in (Form.OWN, Form.TRAINING_STEP) else "loss"
        shapes = ", ".join(f"{path} {list(tensor.shape)}" for path, tensor in list(leaves(setup.batch).items())[:6])
        text = f"{form} does not take this batch ({shapes}): {type(problem).__name__}: {one_line(problem)}"
        if setup.rows == 1:
            fix = "Pass a batch of several rows; in train mode batch norm needs more than one."
        raise BadBatchError(key, text, fix) from None


def _optimizers(model: Any, optimizer: Any, scheduler: Any) -> tuple[list[Optimizer], list[Any]]:
    if optimizer is None and callable(getattr(model, "configure_optimizers", None)):
        optimizer, scheduler = _configured(model.configure_optimizers())
    optimizers = [getattr(item, "optimizer", item) for item in _several(optimizer)]
    for item in optimizers:
        if not isinstance(item, Optimizer):
            raise misused("optimizer", f"expected a torch.optim.Optimizer, got {type(item).__name__}")
    schedulers = _several(scheduler)
    for item in schedulers:
        if not callable(getattr(item, "state_dict", None)) or not callable(getattr(item, "step", None)):
            raise misused("scheduler", f"expected a learning rate scheduler, got {type(item).__name__}")
    return optimizers, schedulers


def _configured(found: Any) -> tuple[Any, Any]:
    """Optimizers and schedulers in the forms that Lightning takes."""
    if isinstance(found, dict):
        scheduler = found.get("lr_scheduler")
        return found["optimizer"], scheduler.get("scheduler") if isinstance(scheduler, dict) else scheduler
    if isinstance(found, tuple | list) and len(found) == 2 and isinstance(found[0], list):
        inner = [item.get("scheduler") if isinstance(item, dict) else item for item in found[1]]
        return found[0], inner
    return found, None


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


@contextmanager
def _quiet(model: nn.Module) -> Iterator[None]:
    """A LightningModule without a trainer may not log."""
    names = [name for name in _QUIET if callable(getattr(model, "training_step", None)) and name not in vars(model)]
    for name in names:
        object.__setattr__(model, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name in names:
            object.__delattr__(model, name)
