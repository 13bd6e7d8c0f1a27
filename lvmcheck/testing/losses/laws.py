"""The laws. Each takes a loss and a strategy of batches, and raises where a batch breaks it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from lvmcheck.errors import InputError, nearest
from lvmcheck.testing.losses.batches import Batch, vectors
from lvmcheck.testing.losses.breach import Breach
from lvmcheck.testing.losses.calls import both, differing, infinite, near, value_at, without_notice
from lvmcheck.testing.losses.search import Loss, broken, search
from lvmcheck.testing.losses.variants import emptied, misshapen, parts, towards

Batches = SearchStrategy[Batch] | None
EXAMPLES = 40
CLOSE = 1e-9
"""Relative difference of two sums of the same numbers in float64 that is rounding."""
STEP, SLOPE, NOISE = 1e-6, 1e-4, 1e-13
"""A finite difference: its step relative to the largest number, its relative error, and the rounding of a value."""
TOLERANCE: Mapping[torch.dtype, float] = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}
"""Error that each precision may have, relative to the largest of value or 1."""
REDUCTIONS = ("mean", "sum", "none")
OVER = ("rows", "elements")
SCALES = ("proportional", "normalised")
PER = ("batch", "row")


# -- in every precision ------------------------------------------------------------------------------------------------
def finite(loss: Loss, batches: Batches = None, *, examples: int = 2 * EXAMPLES) -> None:
    """Value and gradient are finite wherever those in float64 are numbers of the batch's precision; and where the
    prediction is the best one, whatever they are in float64.
    """
    __tracebackhide__ = True

    def judge(batch: Batch) -> Breach | bool:
        most = torch.finfo(batch.prediction.dtype).max
        exact = both(loss, batch.to(torch.float64))
        fit = [bool((part.abs() <= most).all()) for part in exact]
        best = batch.but(prediction=batch.best)
        return infinite(batch, both(loss, batch), fit) or infinite(best, both(loss, best), [True, True]) or fit[0]

    search("finite", loss, judge, vectors() if batches is None else batches, examples)


def zero_vectors(loss: Loss, batches: Batches = None, *, examples: int = EXAMPLES) -> None:
    """Value and gradient are finite where rows of prediction, target or both are zero, or so short that their squares
    are 0 in that precision.
    """
    __tracebackhide__ = True

    def judge(batch: Batch) -> Breach | bool:
        for each in emptied(batch):
            shown = infinite(each, both(loss, each), [True, True])
            if shown is not None:
                return shown
        return True

    search("zero_vectors", loss, judge, _ordinary(batches), examples)


def same_in_every_precision(
    loss: Loss, batches: Batches = None, *, tolerance: Mapping[torch.dtype, float] = TOLERANCE, examples: int = EXAMPLES
) -> None:
    """Value and gradient differ from those in float64 by at most ``tolerance`` of the largest number, or of 1, and the
    value is of no lower precision than the prediction; a higher one, such as float32 for float16, is well.
    """
    __tracebackhide__ = True

    def judge(drawn: Batch) -> Breach | bool:
        for dtype, most in tolerance.items():
            batch = drawn.to(dtype)
            here, exact = both(loss, batch), both(loss, batch.to(torch.float64))
            bits = [torch.finfo(each).bits for each in (here[0].dtype, dtype)]
            if bits[0] < bits[1]:
                return Breach("dtype", bits[0], ("at_least", bits[1]), batch)
            if not all(part.isfinite().all() for part in exact):
                return False
            for what, one, other in zip(("value", "gradient"), here, exact, strict=True):
                if not near(one, other, most, least=1.0):
                    return differing(what, one, other, batch)
        return True

    search("same_in_every_precision", loss, judge, _ordinary(batches), examples)


# -- in float64 --------------------------------------------------------------------------------------------------------
def gradient(loss: Loss, batches: Batches = None, *, examples: int = EXAMPLES) -> None:
    """The gradient by autograd lies between the finite differences to the left and to the right."""
    __tracebackhide__ = True

    def judge(drawn: Batch) -> Breach | bool:
        batch = drawn.to(torch.float64)
        value, slope = both(loss, batch)
        step = STEP * float(batch.prediction.abs().max())
        for index, got in enumerate(slope.flatten().tolist()):
            moved = torch.zeros_like(batch.prediction)
            moved.view(-1)[index] = step
            at, up, down = (value_at(loss, batch.prediction + sign * moved, batch) for sign in (0, 1, -1))
            low, high = sorted(((up - at) / step, (at - down) / step))
            if not math.isfinite(low + high + got):
                return False
            largest = max(abs(low), abs(high), float(slope.abs().nan_to_num().max()))
            error = SLOPE * largest + NOISE * max(1.0, abs(at)) / step
            if not low - error <= got <= high + error:
                return Breach("gradient", got, ("numeric", (low + high) / 2), batch, divmod(index, slope.shape[-1]))
        return bool(value.isfinite().all())

    search("gradient", loss, judge, _ordinary(batches, rows=(1, 4), width=(1, 4)), examples)


def least_at_target(loss: Loss, batches: Batches = None, *, examples: int = EXAMPLES) -> None:
    """No prediction costs less than the batch's ``best``, and at least one of those that were tried costs more."""
    __tracebackhide__ = True
    rises: list[tuple[float, Batch]] = []

    def judge(drawn: Batch) -> Breach | bool:
        batch = drawn.to(torch.float64)
        at_best = value_at(loss, batch.best, batch)
        for other in towards(batch):
            rise = value_at(loss, other.prediction, batch) - at_best
            if not rise >= -CLOSE * max(1.0, abs(at_best)):
                return Breach("rise", rise, ("at_least", 0.0), other)
            rises.append((rise, other))
        return True

    search("least_at_target", loss, judge, _ordinary(batches), examples)
    most, batch = max(rises, key=lambda rise: rise[0])
    if not most > 0:
        raise broken("least_at_target", loss, Breach("rise", most, ("above", 0.0), batch))


def row_order(loss: Loss, batches: Batches = None, *, examples: int = EXAMPLES) -> None:
    """Other orders of the rows give the same value, and the same gradient in that order."""
    __tracebackhide__ = True

    def judge(drawn: Batch) -> Breach | bool:
        batch = drawn.to(torch.float64)
        rows = torch.arange(len(batch.prediction))
        value, slope = both(loss, batch)
        if not (value.isfinite().all() and slope.isfinite().all()):
            return False
        steepest = max(1.0, float(value.abs().max())) / float(batch.prediction.abs().max())
        for order in (rows.roll(1), rows.flip(0)):
            there = both(loss, batch.rows(order))
            wanted = value[order] if value.ndim else value
            if not near(there[0], wanted, CLOSE):
                return differing("permuted_value", there[0], wanted, batch)
            if not near(there[1], slope[order], CLOSE, least=steepest):
                return differing("permuted_gradient", there[1], slope[order], batch)
        return len(rows) > 1

    search("row_order", loss, judge, _ordinary(batches, rows=(2, 5)), examples)


def no_broadcast(loss: Loss, batches: Batches = None, *, examples: int = EXAMPLES) -> None:
    """A target of another shape, such as [N] for predictions [N, 1], is refused, warned of, or means the same."""
    __tracebackhide__ = True

    def judge(drawn: Batch) -> Breach | bool:
        batch = drawn.to(torch.float64)
        for wrong, right in misshapen(batch):
            wanted = both(loss, right)[0]
            got = without_notice(loss, wrong)
            if got is not None and wanted.isfinite().all() and not near(got, wanted, CLOSE):
                return differing("broadcast", got, wanted, wrong)
        return len(batch.prediction) > 1

    search("no_broadcast", loss, judge, _ordinary(batches, rows=(2, 5)), examples)


def reduction(
    loss: Loss, batches: Batches = None, *, stated: str = "mean", over: str = "rows", examples: int = EXAMPLES
) -> None:
    """The loss of a batch is the mean or sum of those of its parts, or one number for each row ("none").

    Args:
        stated: "mean", "sum" or "none". over: "rows", or "elements" for columns as well.
    """
    __tracebackhide__ = True
    _known("reduction", "stated", stated, REDUCTIONS)
    _known("reduction", "over", over, OVER)

    def judge(drawn: Batch) -> Breach | bool:
        batch = drawn.to(torch.float64)
        value = both(loss, batch)[0]
        wanted = (len(batch.prediction),) if stated == "none" else ()
        if tuple(value.shape[:1]) != wanted:
            return Breach("shape", tuple(value.shape), ("equal", wanted), batch)
        if stated == "none":
            return len(batch.prediction) > 1
        for pieces in parts(batch, columns=over == "elements"):
            values = [(both(loss, piece)[0], share if stated == "mean" else 1.0) for piece, share in pieces]
            expected = torch.stack([part * share for part, share in values]).sum()
            if not expected.isfinite():
                return False
            if not near(value, expected, CLOSE):
                return Breach("of_parts", float(value / expected), ("within", 1.0), batch)
        return len(batch.prediction) > 1

    search("reduction", loss, judge, _ordinary(batches, rows=(2, 5)), examples)


def weight_scale(
    loss: Callable[..., Tensor],
    batches: Batches = None,
    *,
    stated: str = "proportional",
    per: str = "batch",
    examples: int = EXAMPLES,
) -> None:
    """``loss(prediction, target, weight)`` and its gradient grow as the weight does ("proportional"), or do not change
    when all weights grow alike ("normalised").

    Args:
        per: "batch" for a number, "row" for a weight [N].
    """
    __tracebackhide__ = True
    _known("weight_scale", "stated", stated, SCALES)
    _known("weight_scale", "per", per, PER)

    def judge(drawn: Batch) -> Breach | bool:
        batch = drawn.to(torch.float64)
        weight = torch.arange(1.0, 1.0 + len(batch.prediction), dtype=torch.float64) if per == "row" else 1.0
        once = both(loss, batch, weight)
        if not once[0].isfinite().all():
            return False
        for factor in (2.0, 0.5):
            wanted = factor if stated == "proportional" else 1.0
            for what, one, other in zip(
                ("weighted_value", "weighted_gradient"), both(loss, batch, factor * weight), once, strict=True
            ):
                if not near(one, wanted * other, CLOSE):
                    got = float(one.abs().sum() / other.abs().sum())
                    return Breach(what, got, ("within", wanted), batch)
        return bool(once[0].abs().sum() > 0)

    search("weight_scale", loss, judge, _ordinary(batches), examples, 1.0 if per == "batch" else None)


LAWS: Mapping[str, Callable[..., None]] = {
    law.__name__: law
    for law in (
        finite,
        gradient,
        least_at_target,
        row_order,
        no_broadcast,
        reduction,
        weight_scale,
        zero_vectors,
        same_in_every_precision,
    )
}
"""Every law by its name."""


def _ordinary(
    batches: Batches, *, rows: tuple[int, int] = (1, 6), width: tuple[int, int] = (1, 5)
) -> SearchStrategy[Batch]:
    """What was asked for, else vectors of ordinary numbers."""
    return vectors(rows, width, scales=(0, 0)) if batches is None else batches


def _known(law: str, key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(law, f"no {key} {value!r}", key=key, fix=nearest(str(value), known))
