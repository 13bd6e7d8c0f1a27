"""``watch``: validates what it is given, and starts a watcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn
from torch.optim import Optimizer

from lvmcheck.run.values import misused
from lvmcheck.watch.budget import Every
from lvmcheck.watch.collectors import (
    activations,
    apart,
    arguments,
    beginning,
    checkpoints,
    copies,
    coverage,
    data,
    dropouts,
    evaluated,
    found_rows,
    losses,
    movement,
    norm_statistics,
    objective,
    outputs,
    passes,
    precision,
    rank_data,
    rank_work,
    ranks,
    rows,
    schedule,
    shared_rows,
    sizes,
    units,
)
from lvmcheck.watch.live import Live
from lvmcheck.watch.watcher import Watcher

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder

_WATCHED: WeakKeyDictionary[nn.Module, ref[Watcher]] = WeakKeyDictionary()


def watch(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    scheduler: Any = None,
    *,
    every: Every = "auto",
    train: Any = None,
    val: Any = None,
    recorder: Recorder | None = None,
    parts: Sequence[nn.Module] = (),
    found: bool = False,
) -> Watcher:
    """Watch a training loop for silent errors; the first sight of each is one line on stderr.

    Args:
        model: the model whose forward pass the loop calls.
        optimizer: its optimizer, or several.
        scheduler: the learning rate scheduler.
        every: measure every n-th step; "auto" measures the first steps one by one, then as rarely as keeps the cost
            below 2 % of a step.
        train, val: a DataLoader, an iterable of batches, or tensors ``(inputs, targets)``: iterate over
            ``watcher.train`` and ``watcher.val`` in their place to have rows, order and labels looked at.
        recorder: what is measured becomes events of its run.
        parts: the modules of the model that the loop calls, where it does not call the model itself.
        found: nobody asked for it: model and optimizer were found in a loop that is recorded.

    Returns:
        The watcher; a context manager. Its hooks go with :meth:`Watcher.close`, or at the end of the run.

    Raises:
        InputError: there is nothing to watch, or it is watched already; names file and line of the call.
    """
    optimizers = _optimizers(optimizer)
    former = _former(model)
    if former is not None and former.found and not found:
        former.close()  # whoever asks knows more of the loop
    inner = _refuse(model, optimizers, every, foreign=found)
    meeting = None if recorder is None else recorder.meeting
    of_ranks = ranks.RanksCollector(meeting)
    progress = (lambda: (1, 0)) if recorder is None else (lambda: (recorder.epochs + 1, recorder.steps))
    watcher = Watcher(
        model,
        optimizers,
        scheduler,
        every=every,
        sink=Live(recorder, quiet=found),
        collectors=[
            coverage.CoverageCollector(),
            movement.MovementCollector(),
            sizes.SizesCollector(),
            activations.ActivationsCollector(),
            units.UnitsCollector(),
            outputs.OutputsCollector(),
            objective.ObjectiveCollector(),
            precision.PrecisionCollector(),
            beginning.BeginningCollector(),
            copies.CopiesCollector(),
            norm_statistics.NormStatisticsCollector(),
            passes.PassesCollector(),
            rows.RowsCollector(),
            schedule.ScheduleCollector(),
            apart.ApartCollector(),
            losses.LossesCollector(),
            data.DataCollector(),
            found_rows.FoundRowsCollector(),
            arguments.ArgumentsCollector(),
            evaluated.EvaluatedCollector(),
            dropouts.DropoutsCollector(),
            shared_rows.SharedRowsCollector(),
            checkpoints.CheckpointsCollector(),
            of_ranks,
            rank_data.RankDataCollector(meeting, recorder.path if recorder is not None else None, of_ranks),
            rank_work.RankWorkCollector(meeting),
        ],
        progress=progress,
        peers=tuple if recorder is None else lambda: tuple(recorder.watchers),
        parts=parts,
        found=found,
    )
    _WATCHED[inner] = ref(watcher)
    watcher.attach()
    watcher.observe(train, val)
    return watcher


def _optimizers(optimizer: Any) -> list[Optimizer]:
    found = list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]
    inner = [getattr(item, "optimizer", item) for item in found]  # Accelerate and Lightning wrap them
    for item in inner:
        if not isinstance(item, Optimizer):
            raise misused("optimizer", f"expected a torch.optim.Optimizer, got {type(item).__name__}")
    if not inner:
        raise misused("optimizer", "expected at least one optimizer, got none")
    return inner


def _refuse(model: Any, optimizers: list[Optimizer], every: Any, *, foreign: bool) -> nn.Module:
    """The module itself, below torch.compile."""
    if not isinstance(model, nn.Module):
        raise misused("model", f"expected a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        fix = "Watch the module that was scripted, and train that one."
        raise misused("model", "a scripted module calls no Python hooks and cannot be watched", fix)
    own = {id(parameter) for parameter in model.parameters()}
    if not own:
        raise misused("model", f"{type(model).__name__} has no parameters", "Watch the module that is trained.")
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    if not own & held and not foreign:
        fix = "Make the optimizer from model.parameters(), after the model is complete and on its device."
        raise misused("optimizer", f"holds none of the {len(own)} parameters of this {type(model).__name__}", fix)
    if every != "auto" and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise misused("every", f"expected 'auto' or an integer of at least 1, got {every!r}")
    inner: nn.Module = getattr(model, "_orig_mod", model)
    former = _former(inner)
    if former is not None and not former.closed:
        fix = "Call watch once, before the loop, or close() the former watcher."
        raise misused("model", f"this {type(model).__name__} is watched already", fix)
    return inner


def _former(model: Any) -> Watcher | None:
    """What watches, or watched, this module."""
    inner = getattr(model, "_orig_mod", model)
    known = _WATCHED.get(inner) if isinstance(inner, nn.Module) else None
    return None if known is None else known()
