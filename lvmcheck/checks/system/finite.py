"""finite: no NaN and no infinity anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, error, failed, passed
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, complete, words
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from


@dataclass(frozen=True, kw_only=True)
class Finite(Check):
    """Every recorded number is finite: loss, terms, gradient norm, epoch metrics, probes and evaluations.

    The first offender is named with its step or epoch, and the run is stopped: a NaN in the weights never goes away.

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
    Very large and very small finite numbers; metrics that are absent because they were not measured; a loss scaler
    that skips a step must not report the gradient norm of the skipped step.

    Source:
    House rule of the seeds: NaN fails every comparison.
    """

    universal = True
    metric_fields = ()

    def judge(self, run: Run) -> Outcome:
        looked = 0
        for event in run.events:
            for place in _numbers(event):
                looked += 1
                if not math.isfinite(place[1]):
                    return failed(_finding(run, event, *place), evaluated=looked, abort=True)
        if not run.finished or not complete(run):
            return awaiting(run, "the end of the run", evaluated=looked)
        if not looked:
            return error("the run recorded no number at all: never evaluated")
        last = run.last_epoch or None
        return passed(
            Finding(what="numbers that are not finite", measured=0, wanted=f"0 of {looked:,}", epoch=last),
            evaluated=looked,
        )


def _numbers(event: ev.Event) -> Iterator[tuple[str, float]]:
    """Every measured number of an event and its name."""
    if isinstance(event, ev.Window):
        if event.non_finite:
            yield str(event.non_finite.get("what", "loss")), _spelled(event.non_finite.get("value"))
        for name in ("loss_mean", "loss_min", "loss_max", "ledger_error", "grad_norm_mean", "grad_norm_max", "lr"):
            value = getattr(event, name)
            if value is not None:
                yield name, value
        for name, term in event.terms.items():
            yield f"term {name}", term.mean
    elif isinstance(event, ev.Epoch | ev.Evaluation | ev.Checkpoint):
        yield from event.metrics.items()
    elif isinstance(event, ev.Probe):
        for name, value in event.values.items():
            yield f"{event.name} {name}", value


def _spelled(value: object) -> float:
    """A number that a window spelled out; whatever cannot be read is not a number."""
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def _finding(run: Run, event: ev.Event, name: str, value: float) -> Finding:
    step = event.step if isinstance(event, ev.Probe) else None
    sentences: list[str] = []
    if isinstance(event, ev.Window):
        first = (event.non_finite or {}).get("step")
        step = first if isinstance(first, int) else event.first_step
        sentences.append(f"first seen in steps {event.first_step:,} to {event.last_step:,}")
    before = [window for window in run.windows if window.last_step < (step or 0)]
    if before:
        norm = f", gradient norm {figure(before[-1].grad_norm_max)}" if before[-1].grad_norm_max is not None else ""
        sentences.append(f"the window before: loss {figure(before[-1].loss_mean)}{norm}")
    if isinstance(event, ev.Evaluation):
        sentences.append(f"in the evaluation {event.name!r}")
    epoch = event.epoch if isinstance(event, ev.Window | ev.Probe | ev.Epoch | ev.Checkpoint) else None
    return Finding(
        what=words(name), measured=value, wanted="finite numbers", epoch=epoch, step=step, evidence=tuple(sentences)
    )


_CHECK = Finite()
_NAN = float("nan")

PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, run_from({"train_loss": [0.0], "val_cosine": [1.0]})),
    made.case("amn_584k", _CHECK, made.val_run(made.AMN_584K_VAL)),
    made.case("extreme_but_finite", _CHECK, made.window_run([1e300, 1e-300] * 10, grad_norms=[1e30] * 20)),
)
FAILS: Sequence[Case] = (
    made.case(
        "loss_becomes_nan",
        _CHECK,
        made.window_run([0.5, 0.4, _NAN], grad_norms=[1.0, 900.0, 1.0], over=False),
        ("NaN at epoch 1, step 101", "gradient norm 900"),
    ),
    made.case("infinite_metric", _CHECK, run_from({"perplexity": [12.0, float("inf")]}), ("infinite at epoch 2",)),
    made.case("nan_gradient_norm", _CHECK, made.window_run([0.5] * 10, grad_norms=[1.0] * 9 + [_NAN])),
    made.case(
        "nan_probe",
        _CHECK,
        made.window_run([0.5] * 10, gradients={100: {"mse": _NAN}}, over=False),
        ("term grad norm mse", "step 100"),
    ),
)
