"""finite: no NaN and no infinity where it means anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_recorded, passed, pending, warning
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.checks.shared.laws import AS_RECORDED
from lvmcheck.run import events as ev
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction, Role, Split
from lvmcheck.run.view import Run, run_from

ROW, STEPS = 3, 100
"""So many gradient norms in a row that are not finite, over so many steps, are no search for a loss scale."""
NORMS = ("grad_norm_mean", "grad_norm_max")
Point = tuple[int, int, float]
"""Epoch, step (0 where it is not known) and value."""


@dataclass(frozen=True, kw_only=True)
class Finite(Check):
    """Losses, loss terms, probes and evaluations are finite; so are metrics once they were, and gradient norms mostly.

    The first offender fails with its step or epoch, and the run is stopped: a NaN in the weights never goes away.
    A gradient norm may be infinite where the loss is finite, up to three recorded in a row over 100 steps: gradient
    scalers skip such steps. A metric may be undefined until its first value and for ever; a score may be missing once.

    Why:
    After the first NaN every further step is wasted, and every comparison with a NaN is silently false: a check
    written as "fail if below" passes it.

    Usual causes:
    - A learning rate that is too high, or no gradient clipping, after a batch with a large gradient.
    - A zero vector that is normalised: 0 / 0 in a cosine.
    - log or sqrt of 0 in a loss; the square root's gradient is infinite at 0 even where its value is not.
    - float16 overflow: exp of logits / tau with a small tau, sums over many elements.
    - NaN in the data, or a standard deviation over a batch of one.

    Fix:
    Look at the first step in the message: loss but not gradient norm means data or loss; gradient norm first means the
    backward pass. Normalise with an epsilon, clip by the global norm, and check the data for zero vectors.

    Healthy runs that must pass:
    Very large and very small finite numbers; metrics that are absent because they were not measured; a metric that is
    NaN in the first epoch or for an absent class; the infinite gradient norms of skipped steps in mixed precision.

    Source:
    House rule: NaN fails every comparison.
    """

    universal = True
    metric_fields = ()
    exempt: ClassVar[Mapping[str, str]] = {
        **AS_RECORDED,
        "nan": "asks whether each number is finite",
        "no_data": "every number is its data",
    }

    def judge(self, run: Run) -> Outcome:
        looked = 0
        for event in run.events:
            for name, value in _numbers(event):
                looked += 1
                if not math.isfinite(value):
                    return failed(_finding(run, event, name, value), evaluated=looked, abort=True)
        for outcome in (_norms(run), *_metrics(run)):
            if outcome is not None:
                return outcome
        metrics = [value for event in run.of(ev.Epoch) for value in event.metrics.values()]
        metrics += [value for points in run.curves.stepped.values() for _, _, value in points]
        looked += len(metrics)
        if not run.over or not complete(run):
            return pending("the end of the run", evaluated=looked)
        if not looked:
            return not_recorded("the run recorded no number at all")
        skipped, undefined = _skipped(run), sum(not math.isfinite(value) for value in metrics)
        done = Finding(
            code="finite",
            measured=undefined,
            unit="NaN or inf",
            epoch=run.last_epoch or None,
            evidence=(Fact("total", looked), *([Fact("infinite_gradient_norms", skipped)] if skipped else [])),
            phrase="0 of {total} recorded values are NaN or inf"
            if not undefined
            else "{measured} among {total} values, in scores that may be undefined",
        )
        return passed(done, evaluated=looked)


def _numbers(event: ev.Event) -> Iterator[tuple[str, float]]:
    """Every number of an event that may never be anything but finite, and its name."""
    if isinstance(event, ev.Window):
        what = str((event.non_finite or {}).get("what", ""))
        if event.non_finite and what not in ("grad_norm", *NORMS):
            yield what or "loss", _spelled(event.non_finite.get("value"))
        for name in ("loss_mean", "loss_min", "loss_max", "ledger_error", "lr"):
            value = getattr(event, name)
            if value is not None:
                yield name, value
        for name, term in event.terms.items():
            yield f"term_{name}", term.mean
    elif isinstance(event, ev.Evaluation | ev.Checkpoint):
        yield from event.metrics.items()
    elif isinstance(event, ev.Probe) and set(event.values) != {"value"}:
        for name, value in event.values.items():
            yield f"{event.name}_{name}", value


def _spelled(value: object) -> float:
    """A number that a window spelled out; whatever cannot be read is not a number."""
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def _finding(run: Run, event: ev.Event, name: str, value: float) -> Finding:
    step = event.step if isinstance(event, ev.Probe) else None
    evidence: list[Fact] = []
    if isinstance(event, ev.Window):
        first = (event.non_finite or {}).get("step")
        step = first if isinstance(first, int) else event.first_step
        evidence += [Fact("first_step", event.first_step), Fact("last_step", event.last_step)]
    before = [window for window in run.windows if window.last_step < (step or 0)]
    if before:
        evidence.append(Fact("loss_before", before[-1].loss_mean, step=before[-1].last_step))
        if before[-1].grad_norm_max is not None:
            evidence.append(Fact("gradient_norm_before", before[-1].grad_norm_max, step=before[-1].last_step))
    if isinstance(event, ev.Evaluation):
        evidence.append(Fact("evaluation", event.name))
    epoch = event.epoch if isinstance(event, ev.Window | ev.Probe | ev.Epoch | ev.Checkpoint) else None
    return _not_finite(name, value, epoch, step, tuple(evidence))


def _not_finite(name: str, value: float, epoch: int | None, step: int | None, evidence: tuple[Fact, ...]) -> Finding:
    return Finding(
        code="not_finite",
        metric=name,
        measured=value,
        epoch=epoch,
        step=step,
        evidence=evidence,
        phrase="{metric} is {measured}, not a finite number",
    )


def _bad_norm(window: ev.Window) -> float | None:
    for value in (window.grad_norm_mean, window.grad_norm_max):
        if value is not None and not math.isfinite(value):
            return value
    return None


def _skipped(run: Run) -> int:
    return sum(_bad_norm(window) is not None for window in run.windows)


def _norms(run: Run) -> Outcome | None:
    """A fail where gradient norms are not finite for too many steps in a row; decided at the first such row."""
    row: list[ev.Window] = []
    for window in run.windows:
        row = [*row, window] if _bad_norm(window) is not None else []
        if len(row) >= ROW and row[-1].last_step - row[0].first_step >= STEPS:
            value = _bad_norm(row[0])
            facts = (Fact("in_a_row", len(row), "windows"), Fact("last_step", window.last_step))
            finding = _not_finite(
                "grad_norm", math.nan if value is None else value, row[0].epoch, row[0].first_step, facts
            )
            return failed(finding, evaluated=len(row), abort=True)
    return None


def _metrics(run: Run) -> Iterator[Outcome | None]:
    """Fails and warnings on metrics of epochs and steps: losses at once, scores where they stay undefined."""
    by_epoch: dict[str, list[Point]] = {}
    for event in run.of(ev.Epoch):
        for name, value in event.metrics.items():
            by_epoch.setdefault(name, []).append((event.epoch, 0, value))
    late: list[Outcome | None] = []
    for name, points in (*by_epoch.items(), *run.curves.stepped.items()):
        role = run.curves.roles[name]
        if points is not by_epoch.get(name) and role.split is Split.TRAIN:
            role = replace(role, split=Split.NONE)  # by step a loss may begin late, such as that of a policy
        bad = _bad_point(role, points, over=run.over)
        if bad is None:
            continue
        epoch, step, value = points[bad]
        finding = _not_finite(name, value, epoch, step or None, _before(points, bad))
        known = run.curves.roles[name].direction is not Direction.UNKNOWN
        if known:
            yield failed(finding, evaluated=len(points), abort=run.curves.roles[name].quantity is Quantity.LOSS)
        else:
            late.append(warning(finding, evaluated=len(points)))
    yield from late


def _bad_point(role: Role, points: Sequence[Point], *, over: bool) -> int | None:
    """Index of the value that is wrong not to be finite."""
    finite = [math.isfinite(value) for _, _, value in points]
    first = next((i for i, ok in enumerate(finite) if ok), None)
    loss = role.quantity in (Quantity.LOSS, Quantity.TERM, Quantity.ERROR)
    if role.quantity in (Quantity.LOSS, Quantity.ERROR) and role.split is Split.TRAIN:
        return next((i for i, ok in enumerate(finite) if not ok), None)
    if first is None:
        return 0 if loss and over and len(points) > 1 else None
    lost = [i for i in range(first, len(points)) if not finite[i]]
    if loss:
        return lost[0] if lost else None
    if not over or not lost:
        return None
    ends = not finite[-1] and len(points) > 1
    return lost[0] if ends or any(b - a == 1 for a, b in pairwise(lost)) else None


def _before(points: Sequence[Point], bad: int) -> tuple[Fact, ...]:
    good = [point for point in points[:bad] if math.isfinite(point[2])]
    if not good:
        return ()
    epoch, step, value = good[-1]
    return (Fact("last_finite_value", value, epoch=epoch, step=step or None),)


_CHECK = Finite()
_case = made.Cases(_CHECK)
_NAN, _INF = float("nan"), float("inf")


def _logged(name: str, *values: float) -> Run:
    """A run with a metric at steps 100, 200, ..."""
    points = [ev.Probe(name=name, epoch=1, step=100 * i, values={"value": v}) for i, v in enumerate(values, 1)]
    return made.window_run([0.5] * 10).extended(points)


PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0], "val_cosine": [1.0]}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    _case("extreme_but_finite", made.window_run([1e300, 1e-300] * 10, grad_norms=[1e30] * 20)),
    _case("loss_scale_search", made.window_run([0.5] * 10, grad_norms=[_INF] * 2 + [1.0] * 8)),
    _case("undefined_at_first", {"train_loss": [2.0, 1.0], "val_f1": [_NAN, 0.4]}),
    _case("absent_class", {"train_loss": [2.0, 1.0], "bbox/AP-zebra": [_NAN, _NAN]}),
)
FAILS = (
    _case("never_a_number", {"train_mse": [_NAN] * 4, "val_mse": [_NAN] * 4, "lr": [0.05] * 4}),
    _case(
        "loss_becomes_nan",
        made.window_run([0.5, 0.4, _NAN], grad_norms=[1.0, 900.0, 1.0], over=False),
        "not_finite",
        step=101,
        gradient_norm_before=900.0,
    ),
    _case("infinite_metric", {"perplexity": [12.0, _INF]}, measured=_INF, epoch=2),
    _case("val_loss", run_from({"val_loss": [2.0, _NAN, 1.0]}, over=False), epoch=2),
    _case("nan_gradient_norms", made.window_run([0.5] * 10, grad_norms=[1.0] * 6 + [_NAN] * 4)),
    _case("loss_of_a_step", _logged("val_loss", 0.3, 0.2, _NAN, 0.2), step=300, last_finite_value=0.2),
    Case(name="term_of_a_step", check=_CHECK, run=_logged("aux_loss", 0.3, _NAN, 0.2), step=200, status=Status.WARNING),
    _case("nan_probe", made.window_run([0.5] * 10, gradients={100: {"mse": _NAN}}, over=False), step=100),
)
