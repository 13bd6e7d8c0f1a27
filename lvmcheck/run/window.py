"""A window of optimizer steps, read in bulk and summarised."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lvmcheck.run.events import Term, Value, Window


class StepRow(NamedTuple):
    """One optimizer step as the loop reported it; numbers may still be tensors."""

    loss: Any
    terms: Mapping[str, tuple[float, Any]] | None
    grad_norm: Any
    lr: float | None
    samples: int
    metrics: Mapping[str, Any] | None = None


def summarise(rows: Sequence[StepRow], *, epoch: int, last_step: int, seconds: float, t: float) -> Window:
    """The window event of consecutive steps ending at ``last_step``."""
    first_step = last_step - len(rows) + 1
    losses = floats([row.loss for row in rows])
    terms, term_columns = _terms(rows)
    norms = floats([row.grad_norm for row in rows if row.grad_norm is not None])
    rates = [row.lr for row in rows if row.lr is not None]
    columns = {"loss": losses, **{f"term {name}": values for name, values in term_columns.items()}}
    if len(norms) == len(rows):
        columns["grad_norm"] = norms
    return Window(
        t=t,
        epoch=epoch,
        first_step=first_step,
        last_step=last_step,
        samples=sum(row.samples for row in rows),
        seconds=seconds,
        loss_mean=_mean(losses),
        loss_min=_extreme(losses, min),
        loss_max=_extreme(losses, max),
        terms=terms,
        ledger_error=_ledger_error(rows, losses, term_columns),
        grad_norm_mean=_mean(norms) if norms else None,
        grad_norm_max=_extreme(norms, max) if norms else None,
        lr=rates[-1] if rates else None,
        non_finite=_first_non_finite(columns, first_step),
        metrics=_metrics(rows),
    )


def _metrics(rows: Sequence[StepRow]) -> dict[str, float]:
    """Mean of each further metric over the steps that report it."""
    names = dict.fromkeys(name for row in rows for name in row.metrics or ())
    columns = {
        name: floats([row.metrics[name] for row in rows if row.metrics and name in row.metrics]) for name in names
    }
    return {name: _mean(values) for name, values in columns.items()}


def floats(values: Sequence[Any]) -> list[float]:
    """Numbers and 0-d tensors as floats; tensors cross from their device in one copy."""
    tensors = [value.detach() for value in values if hasattr(value, "detach")]
    if len(tensors) == len(values) > 1 and len({(tensor.device, tensor.dtype) for tensor in tensors}) == 1:
        import torch

        return [float(value) for value in torch.stack(tensors).double().tolist()]
    return [float(value.detach() if hasattr(value, "detach") else value) for value in values]


def _terms(rows: Sequence[StepRow]) -> tuple[dict[str, Term], dict[str, list[float]]]:
    """Mean and weight of every term; all steps of a window report the same terms (the recorder sees to it)."""
    declared = [row.terms for row in rows if row.terms]
    if not declared:
        return {}, {}
    columns = {name: floats([terms[name][1] for terms in declared]) for name in declared[0]}
    terms = {
        name: Term(weight=_mean([float(terms[name][0]) for terms in declared]), mean=_mean(column))
        for name, column in columns.items()
    }
    return terms, columns


def _ledger_error(rows: Sequence[StepRow], losses: list[float], columns: Mapping[str, list[float]]) -> float | None:
    """Largest relative difference of a step's loss from the weighted sum of its terms."""
    if not columns:
        return None
    worst = 0.0
    for i, (row, loss) in enumerate(zip(rows, losses, strict=True)):
        parts = [float((row.terms or {})[name][0]) * columns[name][i] for name in columns]
        scale = max(abs(loss), sum(abs(part) for part in parts))
        difference = abs(loss - sum(parts)) / scale if scale else 0.0
        if math.isnan(difference):  # wins over every number
            return difference
        worst = max(worst, difference)
    return worst


def _first_non_finite(columns: Mapping[str, list[float]], first_step: int) -> dict[str, Value] | None:
    hits = [
        (i, name, value)
        for name, values in columns.items()
        for i, value in enumerate(values)
        if not math.isfinite(value)
    ]
    if not hits:
        return None
    index, name, value = min(hits, key=lambda hit: hit[0])
    return {"step": first_step + index, "what": name, "value": str(value)}


def _mean(values: Sequence[float]) -> float:
    if not all(map(math.isfinite, values)):
        return _not_finite(values)
    # Divided first: the sum of finite losses may be too large for a float, their mean is not.
    return math.fsum(value / len(values) for value in values)


def _extreme(values: Sequence[float], pick: Any) -> float:
    return float(pick(values)) if all(map(math.isfinite, values)) else _not_finite(values)


def _not_finite(values: Sequence[float]) -> float:
    """NaN or the infinity that makes a summary meaningless, so that it cannot be overlooked."""
    return next((value for value in values if math.isnan(value)), next(v for v in values if not math.isfinite(v)))
