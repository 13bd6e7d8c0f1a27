"""Where something was measured in a run that never named an epoch: at steps, not at the number of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from lvmcheck.checks.finding import Fact, Finding, Outcome
from lvmcheck.run import events as ev
from lvmcheck.run.view import EPOCH_AT, Run

P = TypeVar("P", Finding, Fact)


def at_steps(outcome: Outcome, run: Run) -> Outcome:
    """The outcome with the places of its finding and evidence as steps, where the run has no epochs of its own."""
    finding = outcome.finding
    if finding is None or not (run.counts_evaluations or (EPOCH_AT in run.info and not run.last_epoch)):
        return outcome
    steps = {event.epoch: event.step for event in run.of(ev.Epoch)}
    moved = _moved(finding, steps)
    return replace(outcome, finding=replace(moved, evidence=tuple(_moved(fact, steps) for fact in moved.evidence)))


def _moved(item: P, steps: Mapping[int, int]) -> P:
    if item.epoch is None:
        return item
    return replace(item, epoch=None, step=steps.get(item.epoch) if item.step is None else item.step)
