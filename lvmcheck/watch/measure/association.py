"""Whether targets belong to the inputs beside them, by a linear fit: in training, one row off, and in validation."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmcheck.watch.measure.held import classes_of, columns

ROWS, FEATURES = 4000, 256
LEAST = 120
"""Rows of a set below which nothing is fitted."""
RIDGE = 0.03
LAGS = (0, 1, -1, 2, -2)


def association(train: list[Tensor], val: list[Tensor] | None) -> dict[str, float]:
    """How well a fit on half of the rows predicts the others; 1 is perfect and 0 chance.

    ``train`` is that of training rows, ``shifted`` of rows with the target of the next or the one before (the better
    one), ``val`` that of validation by the fit of training, ``own`` that of validation by a fit of its own.
    """
    made = _pair(train)
    if made is None:
        return {}
    inputs, targets, classes = made
    found = {"train": _fit(inputs, targets, inputs, targets, classes), "rows": float(len(inputs))}
    turned = {s: _fit(inputs, targets.roll(s, 0), inputs, targets.roll(s, 0), classes) for s in (-1, 1)}
    shift = max(turned, key=turned.__getitem__)
    found |= {"shifted": turned[shift], "shift": float(shift)}
    other = None if val is None else _pair(val)
    if other is not None and other[2] == classes and other[0].shape[1] == inputs.shape[1]:
        cut = len(other[0]) // 2
        whole = _fit(inputs, targets, other[0], other[1], classes, whole=True)
        found |= {"val": whole, "own": _fit(other[0], other[1], other[0], other[1], classes)}
        found |= {"val_rows": float(2 * cut)}
    return found


def lags(train: list[Tensor], val: list[Tensor], at: int) -> dict[str, float]:
    """At which lag the targets [N, T] follow from the inputs [N, T, ...] of one position, in each set.

    ``off`` is the share of what a fit finds in a set at its own lag that is lost at the lag of the other, at least.
    """
    both = [_lagged(held, at) for held in (train, val) if len(held) > at]
    if len(both) < 2 or not both[0] or not both[1]:
        return {}
    one, other = (max(found, key=found.__getitem__) for found in both)
    best = min(both[0][one], both[1][other])
    off = min(1 - both[0][other] / max(both[0][one], 1e-6), 1 - both[1][one] / max(both[1][other], 1e-6))
    rows = float(min(len(train[0]), len(val[0])))
    return {"lag": one, "lag_of_val": other, "found": best, "off": off, "rows": rows}


def _lagged(held: list[Tensor], at: int) -> dict[float, float]:
    inputs, targets = held[0][:ROWS], held[at][:ROWS]
    if not inputs.is_floating_point() or inputs.ndim not in (2, 3) or targets.ndim != 2 or len(inputs) < LEAST:
        return {}
    long = inputs.shape[1]
    if targets.shape[1] != long or long < 6 or (inputs.ndim == 3 and inputs.shape[2] > FEATURES):
        return {}
    found = {}
    for lag in LAGS:
        low, high = max(0, -lag), min(long, long - lag)
        x = inputs[:, low + lag : high + lag].reshape((high - low) * len(inputs), -1)
        made = _pair([x, targets[:, low:high].reshape(-1)])
        if made is None:
            return {}
        found[float(lag)] = _fit(made[0], made[1], made[0], made[1], made[2])
    return found


def _pair(held: list[Tensor]) -> tuple[Tensor, Tensor, int] | None:
    """Inputs [n, features] and targets [n, k]: one-hot classes, or ranks of numbers (k = 1, classes 0)."""
    if len(held) < 2 or not held[0].is_floating_point() or len(held[0]) < LEAST:
        return None
    inputs, last = columns(held[0], ROWS), held[-1][:ROWS]
    if inputs.shape[1] > FEATURES:
        draw = torch.Generator().manual_seed(0)
        inputs = inputs @ torch.randn(inputs.shape[1], FEATURES, generator=draw, device="cpu") / FEATURES**0.5
    labels = classes_of(last)
    if labels is not None:
        kinds = int(labels.max()) + 1
        return (
            (inputs, torch.eye(kinds, device="cpu")[labels], kinds) if int(labels.min()) >= 0 and kinds <= 100 else None
        )
    if not last.is_floating_point() or last.numel() != len(last):
        return None
    values = last.detach().reshape(-1).float().cpu()
    if len(torch.unique(values)) < 8 or not bool(torch.isfinite(values).all() & torch.isfinite(inputs).all()):
        return None
    ranks = values.argsort().argsort().float() / len(values) - 0.5
    return inputs, ranks[:, None], 0


def _fit(x: Tensor, y: Tensor, other_x: Tensor, other_y: Tensor, classes: int, *, whole: bool = False) -> float:
    """Fit on the even rows, judge the odd ones (``whole``: all) of the other pair."""
    mean, deviation = x.mean(0), x.std(0).clamp_min(1e-6)
    a, b = ((x - mean) / deviation)[::2], (other_x - mean) / deviation
    target = y[::2]
    weights = (1 / target.sum(0).clamp_min(1))[target.argmax(1)] if classes else torch.ones(len(a), device=a.device)
    weights = (weights / weights.mean())[:, None]
    centre = (target * weights).mean(0)
    gram = (a * weights).T @ a + RIDGE * len(a) * torch.eye(a.shape[1], device=a.device)
    solution = torch.linalg.solve(gram, (a * weights).T @ (target - centre))
    b, expected = (b, other_y) if whole else (b[1::2], other_y[1::2])
    predicted = b @ solution + centre
    if not classes:
        found = torch.corrcoef(torch.stack([predicted[:, 0], expected[:, 0]]))[0, 1]
        return float(found.nan_to_num())
    right, kinds = (predicted.argmax(1) == expected.argmax(1)).float(), expected.sum(0)
    seen = kinds > 0
    shares = (expected * right[:, None]).sum(0)[seen] / kinds[seen]
    count = int(seen.sum())
    return float((shares.mean() - 1 / count) / (1 - 1 / count)) if count > 1 else 0.0
