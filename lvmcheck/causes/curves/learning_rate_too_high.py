"""learning_rate_too_high: every step overshoots, so the loss climbs from the start."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

LEAST = 8
"""Windows of steps that are needed to tell a climb from noise."""
CLIMB = 1.5
"""The last quarter's loss over the lowest; no epoch of a healthy run on record rises by more than 0.066 %."""
FROM = 0.25
"""The loss was lowest in this share of the run: what falls for long and climbs later has another cause."""


class LearningRateTooHigh(Cause):
    """The training loss rises from the first steps on while the learning rate stays up: every step overshoots."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        windows = evidence.run.windows
        losses = [window.loss_mean for window in windows]
        rates = [window.lr for window in windows if window.lr]
        if len(losses) < LEAST or not rates or not all(map(math.isfinite, losses)) or evidence.run.of(ev.Stage):
            return None
        lowest = min(range(len(losses)), key=losses.__getitem__)
        late = statistics.median(losses[-(len(losses) // 4) :])
        if lowest > FROM * len(losses) or not losses[lowest] > 0 or not late > CLIMB * losses[lowest]:
            return None
        jumped = max(rates) > 2 * rates[0] and rates.index(max(rates)) > len(rates) // 2
        if jumped:
            return None  # a jump in the schedule, not a rate that was wrong from the start
        return Diagnosis(
            name=self.name(),
            sentence=f"the learning rate ({max(rates):g}) is too high: the loss climbs from the first steps on",
            evidence=(
                f"train loss {losses[lowest]:.4g} at step {windows[lowest].last_step:,}, median of the last quarter "
                f"{late:.4g}, {late / losses[lowest]:.3g} times as much",
                *_norms(windows),
            ),
            ruled_out=evidence.ruled_out({"loss_ledger": "a hidden term", "loss_balance": "a dominant term"}),
            fix="divide the learning rate by 10 and warm up over the first hundred steps; then raise it by halves",
            next="lvmcheck explain grad_norm_bounded",
            score=0.5,
        )


def _norms(windows: Sequence[ev.Window]) -> tuple[str, ...]:
    """How the gradient norm moved, where it was recorded."""
    norms = [window.grad_norm_mean for window in windows if window.grad_norm_mean is not None]
    if len(norms) != len(windows) or not all(map(math.isfinite, norms)) or not norms[0] > 0:
        return ()
    return (f"gradient norm {norms[0]:.3g} at first, {norms[-1]:.3g} at last",)


def _run(losses: Sequence[float], rates: Sequence[float]) -> Run:
    said = [
        ev.Window(
            epoch=1,
            first_step=50 * i + 1,
            last_step=50 * (i + 1),
            loss_mean=loss,
            loss_min=loss,
            loss_max=loss,
            grad_norm_mean=loss,
            lr=rate,
        )
        for i, (loss, rate) in enumerate(zip(losses, rates, strict=True))
    ]
    return Run(events=tuple(said), done={"status": "finished"})


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=_run(made.lines(20, 2.0, 0.5, 0.4), [1e-3] * 20)),
    CauseCase(name="plateau", run=_run([2.0, 1.0, *[0.99, 1.01] * 9], [1e-3] * 20)),
    CauseCase(name="climbs_late", run=_run(made.lines(20, 2.0, 0.5, 0.4, 0.9), [1e-3] * 20)),
    CauseCase(name="rate_jumps_late", run=_run([1.0, *[1.1] * 11, *[4.0] * 8], [1e-3] * 12 + [1e-1] * 8)),
    CauseCase(name="not_a_number", run=_run([1.0, *[math.nan] * 19], [1e-3] * 20)),
    CauseCase(name="no_rate", run=made.window_run(made.lines(20, 1.0, 4.0))),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="climbs", run=_run(made.lines(20, 1.0, 5.0), [3.0] * 20), says=("(3) is too high", "gradient norm 1 at")
    ),
    CauseCase(name="falls_a_moment", run=_run([2.0, 1.5, *made.lines(18, 2.0, 40.0)], [0.5] * 20), says=("climbs",)),
)
