"""related_metrics_agree: metrics of the same answers keep the order that their definitions give them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import Bound, ceiling, floor
from lvmcheck.checks.curves._curves import CurveCheck, concluded
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.view import Run

LEAST, BEYOND, CLEAR = 3, 0.01, 0.2
"""Evaluations, relative distance beyond the order, and overlap from which both of its measures differ."""
AT_K = re.compile(r"^(?P<before>.*?)(?P<stem>hit_?rate|hits?|hr|recall|ndcg|top)_?(?P<k>\d+)(?P<after>.*)$")
HITS = frozenset({"hit", "hits", "hr", "hitrate", "hit_rate"})
GROWS = HITS | {"recall", "top"}
"""Metrics at k that cannot be smaller at a larger k."""
PAIRS = (("iou", "dice"), ("mae", "rmse"))
"""Of these the first is never larger than the second."""


@dataclass(frozen=True, kw_only=True)
class RelatedMetricsAgree(CurveCheck):
    """In half of all evaluations at least, metrics of one name but for these words keep their order within 1 %:
    recall, hit rate and top-k accuracy do not fall with k, ndcg at k is at most the hit rate at k, IoU is at most Dice
    and, where Dice is above 0.2, more than half of it, MAE is at most RMSE.

    Why:
    An order that follows from definitions is broken by a mistake in one of the two, and by nothing that a model does.

    Usual causes:
    - The natural logarithm in place of log2 in nDCG.
    - The union is the sum of both areas.
    - A top-k along the rows of the batch, or of the smallest scores.

    Fix:
    Compute both for four rows by hand; compare with torchmetrics.

    Healthy runs that must pass:
    Metrics of other sets, classes or averages, whose names differ in more words.

    Source:
    Definitions: a hit gains at most 1 in nDCG; IoU = Dice / (2 - Dice), which is convex; Jensen's inequality for RMSE.
    """

    universal = True

    def judge_ended(self, run: Run) -> Outcome:
        found = [
            pair for pair in _pairs(run) if len(pair[0]) == len(pair[1]) and (pair[0].steps == pair[1].steps).all()
        ]
        if not found:
            return not_recorded("no two metrics with an order of their own are recorded")
        long = [pair for pair in found if len(pair[0]) >= LEAST]
        if not long:
            return not_applicable(f"fewer than {LEAST} evaluations")
        values = sum(len(less) for less, _ in long)
        for less, more in long:
            finding = _broken(less, more)
            if finding is not None:
                return failed(finding, evaluated=values)
        less, more = long[0]
        return concluded(_finding("in_order", less, more, None), [less, more], evaluated=values)


def _broken(less: Curve, more: Curve) -> Finding | None:
    beyond = int((less.values > (1 + BEYOND) * more.values).sum())
    if beyond >= LEAST and 2 * beyond > len(less) and (more.values >= 0).all():
        return _finding("out_of_order", less, more, ceiling(float(more.values[-1])))
    overlap = more.values / (100 if float(more.values.max()) > 1 else 1)
    half = (less.values < (0.5 + BEYOND / 2) * more.values).all() and (overlap > CLEAR).all()
    if half and "iou" in _words(less.name):
        return _finding("half_of_dice", less, more, floor(float(more.values[-1]) / (2 - float(overlap[-1]))))
    return None


def _pairs(run: Run) -> Iterator[tuple[Curve, Curve]]:
    """Metrics of the same answers, the one that is never larger first."""
    known: Mapping[str, Curve] = {**run.curves.by_step, **run.curves.by_epoch}
    at_k = [(match, known[name]) for name in known if (match := AT_K.match("_".join(_words(name))))]
    for one, less in at_k:
        for other, more in at_k:
            same = one["before"] == other["before"] and one["after"] == other["after"]
            grows = one["stem"] == other["stem"] and one["stem"] in GROWS and int(one["k"]) < int(other["k"])
            gain = one["stem"] == "ndcg" and other["stem"] in HITS and one["k"] == other["k"]
            if same and (grows or gain):
                yield less, more
    for first, second in PAIRS:
        for name in known:
            said = _words(name)
            if first in said:
                other_name = [second if word == first else word for word in said]
                yield from ((known[name], known[other]) for other in known if _words(other) == other_name)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]


def _finding(code: str, less: Curve, more: Curve, bound: Bound | None) -> Finding:
    epoch, step = less.place(len(less) - 1)
    return Finding(
        code=code,
        metric=less.name,
        measured=float(less.values[-1]),
        bounds=(bound,) if bound is not None else (),
        epoch=epoch,
        step=step if less.by_step else None,
        evidence=(
            Fact("other_metric", more.name),
            Fact("other", float(more.values[-1])),
            Fact("evaluations", len(less)),
        ),
        phrase="{metric} is above {other_metric} in most of {evaluations} evaluations: {measured} and {other} at last"
        if code == "out_of_order"
        else "{metric} is half of {other_metric} in all of {evaluations} evaluations: {measured} and {other} at last"
        if code == "half_of_dice"
        else "{metric} {measured} beside a {other_metric} of {other}",
    )


_case = made.Cases(RelatedMetricsAgree())
_HITS, _DICE = np.linspace(0.2, 0.6, 8), np.linspace(0.3, 0.8, 8)


def _run(**metrics: np.ndarray) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in metrics.items()}


PASSES = (
    _case("perfect_oracle", _run(hit_rate_10=_HITS / _HITS, ndcg_10=_HITS / _HITS)),
    _case("recall_at_two_depths", _run(val_recall_1=_HITS, val_recall_5=1.3 * _HITS)),
    _case("overlaps", _run(val_dice=_DICE, val_iou=_DICE / (2 - _DICE))),
    _case("errors", _run(val_rmse=_HITS, val_mae=0.8 * _HITS)),
    _case("crosses_once", _run(top1=_HITS, top5=np.append(0.9 * _HITS[:1], 1.5 * _HITS[1:]))),
)
FAILS = (
    _case("natural_logarithm", _run(hit_rate_10=_HITS, ndcg_10=1.05 * _HITS), "out_of_order"),
    _case("union_is_the_sum", _run(val_dice=_DICE, val_iou=_DICE / 2), "half_of_dice"),
    _case("along_the_rows", _run(val_top1=_HITS, val_top5=0.5 * _HITS), "out_of_order"),
    _case("mean_absolute_error_above", _run(val_rmse=_HITS, val_mae=1.2 * _HITS), "out_of_order"),
)
