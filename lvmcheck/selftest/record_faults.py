"""Faults of what is recorded: planted in the events of the unmodified run, which needs no training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lvmcheck.run import events as ev
from lvmcheck.run.evaluations import is_evaluation
from lvmcheck.run.view import Run

Change = Callable[[Run], "Run | None"]
"""The run with the fault; None where it has nothing to plant it in."""


@dataclass(frozen=True, kw_only=True)
class RecordFault:
    """A fault between the loop and its record.

    Args:
        name: a stable identifier. about: what is wrong. needs: the reason where it could not be planted.
    """

    name: str
    about: str
    needs: str
    change: Change


# -- parts of a run ----------------------------------------------------------------------------------------------------
def _measure(run: Run) -> str | None:
    """The validation metric that matters: ``val_loss`` where there is one."""
    names = [name for name in run.metric_names if is_evaluation(name)]
    return "val_loss" if "val_loss" in names else next(iter(names), None)


def _epochs(run: Run, change: Callable[[int, ev.Epoch], dict[str, float] | None]) -> Run:
    """Metrics of each epoch as ``change`` makes them of its 0-based number; None leaves the epoch out."""
    events, number = [], 0
    for event in run.events:
        if isinstance(event, ev.Epoch):
            metrics = change(number, event)
            number += 1
            if metrics is None:
                continue
            event = replace(event, metrics=metrics)
        events.append(event)
    return replace(run, events=tuple(events))


def _windows(run: Run, change: Callable[[ev.Window], ev.Window | None]) -> Run:
    events = [change(event) if isinstance(event, ev.Window) else event for event in run.events]
    return replace(run, events=tuple(event for event in events if event is not None))


def _at(run: Run, epoch: int) -> int:
    """How many events there are up to the end of that 1-based epoch."""
    return next((i + 1 for i, e in enumerate(run.events) if isinstance(e, ev.Epoch) and e.epoch == epoch), 0)


def _is_loss(name: str) -> bool:
    return "loss" in name


# -- metrics -----------------------------------------------------------------------------------------------------------
def constant(run: Run) -> Run | None:
    name = _measure(run)
    if name is None or run.last_epoch < 2:
        return None
    first = run.of(ev.Epoch)[0].metrics.get(name, math.nan)
    return _epochs(run, lambda _, event: {**event.metrics, name: first})


def stale(run: Run) -> Run | None:
    name = _measure(run)
    rows = run.of(ev.Epoch)
    if name is None or len(rows) < 2:
        return None
    old = [rows[max(0, i - 1)].metrics.get(name, math.nan) for i in range(len(rows))]
    return _epochs(run, lambda i, event: {**event.metrics, name: old[i]})


def of_training(run: Run) -> Run | None:
    """Each validation metric is its training twin."""
    twins = {}
    for name in run.metric_names:
        twin = f"train_{name.partition('_')[2]}"
        if is_evaluation(name) and twin in run.metric_names:
            twins[name] = twin
    if not twins:
        return None
    return _epochs(run, lambda _, e: {**e.metrics, **{v: e.metrics[t] for v, t in twins.items() if t in e.metrics}})


def percent(run: Run) -> Run | None:
    """Scores between 0 and 1 are recorded times 100."""
    names = [
        name
        for name in run.metric_names
        if not _is_loss(name) and name != "lr" and max(map(abs, run.series(name).values), default=2.0) <= 1.0
    ]
    if not names:
        return None
    return _epochs(
        run, lambda _, e: {name: value * (100.0 if name in names else 1.0) for name, value in e.metrics.items()}
    )


def not_measured(run: Run) -> Run | None:
    """The metric is missing from the last epoch."""
    name, last = _measure(run), len(run.of(ev.Epoch)) - 1
    if name is None:
        return None
    return _epochs(run, lambda i, e: {k: v for k, v in e.metrics.items() if i < last or k != name})


def nan_as_zero(run: Run) -> Run | None:
    """From the second half on every loss was NaN and is recorded as 0."""
    half = len(run.of(ev.Epoch)) // 2
    if half < 1 or not any(map(_is_loss, run.metric_names)):
        return None
    cut = run.of(ev.Epoch)[half - 1].step
    zeroed = _epochs(run, lambda i, e: {k: 0.0 if i >= half and _is_loss(k) else v for k, v in e.metrics.items()})

    def window(event: ev.Window) -> ev.Window:
        late = event.first_step > cut
        return replace(event, loss_mean=0.0, loss_min=0.0, loss_max=0.0) if late else event

    return _windows(zeroed, window)


# -- losses ------------------------------------------------------------------------------------------------------------
def _ledger(event: ev.Window) -> ev.Window:
    """The window with the error of its ledger as the recorder would have computed it from the means."""
    if not event.terms:
        return replace(event, ledger_error=None)
    parts = [term.weight * term.mean for term in event.terms.values()]
    scale = max(abs(event.loss_mean), sum(map(abs, parts)))
    return replace(event, ledger_error=abs(event.loss_mean - sum(parts)) / scale if scale else 0.0)


def _has_terms(run: Run, least: int = 1) -> bool:
    return any(len(event.terms) >= least for event in run.windows)


def hidden_term(run: Run) -> Run | None:
    """The loss holds a term that is not recorded, worth 45 % of the others."""
    if not _has_terms(run):
        return None

    def window(event: ev.Window) -> ev.Window:
        return _ledger(replace(event, loss_mean=1.45 * event.loss_mean, loss_max=1.45 * event.loss_max))

    return _windows(run, window)


def term_missing(run: Run) -> Run | None:
    if not _has_terms(run, 2):
        return None
    return _windows(run, lambda e: _ledger(replace(e, terms=dict(list(e.terms.items())[:-1]))))


def weight_wrong(run: Run) -> Run | None:
    """The first term is recorded with twice its weight."""
    if not _has_terms(run):
        return None

    def window(event: ev.Window) -> ev.Window:
        terms = dict(event.terms)
        for name in list(terms)[:1]:
            terms[name] = replace(terms[name], weight=2.0 * terms[name].weight)
        return _ledger(replace(event, terms=terms))

    return _windows(run, window)


def divided(run: Run) -> Run | None:
    """The training loss and its terms are recorded divided by 8, as by steps of accumulation."""
    if not run.windows:
        return None

    def window(e: ev.Window) -> ev.Window:
        terms = {name: replace(term, mean=term.mean / 8) for name, term in e.terms.items()}
        return replace(e, loss_mean=e.loss_mean / 8, loss_min=e.loss_min / 8, loss_max=e.loss_max / 8, terms=terms)

    def metrics(_: int, event: ev.Epoch) -> dict[str, float]:
        return {k: v / 8 if k.startswith("train_loss") else v for k, v in event.metrics.items()}

    return _epochs(_windows(run, window), metrics)


def rate_wrong(run: Run) -> Run | None:
    """The recorded learning rate is 10 times the one that was used."""
    if not any(event.lr is not None for event in run.windows):
        return None
    wrong = _windows(run, lambda e: replace(e, lr=None if e.lr is None else 10.0 * e.lr))
    return _epochs(wrong, lambda _, e: {k: 10.0 * v if k == "lr" else v for k, v in e.metrics.items()})


# -- epochs, windows and the end ---------------------------------------------------------------------------------------
def epoch_missing(run: Run) -> Run | None:
    half = len(run.of(ev.Epoch)) // 2
    return _epochs(run, lambda i, e: None if i == half else dict(e.metrics)) if half else None


def windows_missing(run: Run) -> Run | None:
    """No step after the first epoch is recorded."""
    first = run.of(ev.Epoch)[:1]
    if not first or not any(event.last_step > first[0].step for event in run.windows):
        return None
    return _windows(run, lambda e: None if e.last_step > first[0].step else e)


def ended_early(run: Run) -> Run | None:
    """It says that it has finished after half of its epochs."""
    half = run.last_epoch // 2
    if not half:
        return None
    return replace(run, events=run.events[: _at(run, half)])


def crash(run: Run) -> Run | None:
    """It dies in the middle, without a completion record."""
    half = max(1, len(run.events) // 2)
    return replace(run, events=run.events[:half], done=None, death="the trainer exited 1: planted")


def crash_at_the_end(run: Run) -> Run | None:
    """It dies after its last epoch."""
    return replace(run, done=None, death="the trainer exited 1 after its last epoch: planted")


def _fault(name: str, about: str, change: Change, needs: str = "no epochs with a validation metric") -> RecordFault:
    return RecordFault(name=name, about=about, needs=needs, change=change)


FAULTS: Sequence[RecordFault] = (
    _fault("metric_constant", "the validation metric keeps its first value", constant),
    _fault("metric_stale", "the validation metric is that of the epoch before", stale),
    _fault("metric_of_training", "validation metrics are those of training", of_training, "no training twin recorded"),
    _fault("metric_in_percent", "scores are recorded in percent", percent, "no score between 0 and 1"),
    _fault("metric_missing", "the validation metric is missing at the end", not_measured),
    _fault("nan_as_zero", "NaN losses are recorded as 0", nan_as_zero, "no loss in two epochs"),
    _fault("hidden_term", "a loss term worth 45 % is not recorded", hidden_term, "no loss terms recorded"),
    _fault("term_missing", "a loss term is missing from the record", term_missing, "fewer than two loss terms"),
    _fault("weight_wrong", "a loss term is recorded with twice its weight", weight_wrong, "no loss terms recorded"),
    _fault("loss_divided", "the training loss is recorded divided by 8", divided, "no steps recorded"),
    _fault("lr_recorded_x10", "the recorded learning rate is ten times the one used", rate_wrong, "no rate recorded"),
    _fault("epoch_missing", "an epoch is missing from the record", epoch_missing, "fewer than two epochs"),
    _fault("windows_missing", "steps after the first epoch are not recorded", windows_missing, "no steps recorded"),
    _fault("ended_early", "finished after half of its epochs", ended_early, "fewer than two epochs"),
    _fault("crash", "the trainer dies in the middle", crash),
    _fault("crash_at_the_end", "the trainer dies after its last epoch", crash_at_the_end),
)
