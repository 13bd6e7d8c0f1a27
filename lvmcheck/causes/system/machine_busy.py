"""machine_busy: the run became slower because its machine did, not because of what it does."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import facts
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.pace import PROBE, RATE, UnpacedError, ends, fall, paces
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

LEAST = 4
"""Epochs that are needed to tell a fall from one slow epoch."""
SLOWER = 1.5
"""Times that the samples a second must have fallen, as throughput_floor's own default asks."""
SAME = 1.15
"""The pace over that of the kernel has not changed while it moved by less than this."""
CROWDED = 0.3
"""Kernel rates before and after an epoch that differ by more were taken while something else began or ended."""


class MachineBusy(Cause):
    """Samples a second fell, and a calibration kernel timed beside every epoch fell with them."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        try:
            timed = [pace for pace in paces(evidence.run) if pace.kernel is not None and pace.share is not None]
        except UnpacedError:
            return None
        rates = [pace.rate for pace in timed]
        kernels = [pace.kernel for pace in timed if pace.kernel is not None]
        shares = [pace.share for pace in timed if pace.share is not None]
        if len(timed) < LEAST or not all(math.isfinite(x) and x > 0 for x in (*rates, *kernels, *shares)):
            return None
        slower, share = fall(rates), fall(shares)
        if not slower > SLOWER or not 1 / SAME < share < SAME:
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.CONSISTENT,  # slow is not wrong: any defect of the model comes first
            phrase="the machine became {kernel_slowdown} slower during the run: it was shared or throttled",
            evidence=(
                *facts({"kernel_slowdown": fall(kernels), "slowdown": slower, "change_of_share": share}, unit="x"),
                *facts(late_samples_per_second=ends(rates)[1], epochs=len(timed)),
                *facts(epochs_with_changing_load=sum(pace.unequal() > CROWDED for pace in timed)),
            ),
            explains=frozenset({"throughput_floor"}),
            tell_apart="list the processes on the device, its temperature and its power cap while it trains",
            fix="train on an idle machine, or judge shares of the kernel's rate instead of samples a second",
            next="lvmcheck explain throughput_floor",
        )


def _run(rates: Sequence[float], kernels: Sequence[float]) -> Run:
    values = (
        {RATE: rate, "kernel_before": kernel, "kernel_after": kernel, "flops_per_sample": 11.4e6}
        for rate, kernel in zip(rates, kernels, strict=True)
    )
    return language.probed(PROBE, *values)


_FAST, _SLOW = [5290.0] * 3, [2650.0] * 3
_KERNEL, _BUSY = [92e9] * 3, [46e9] * 3

PASSES = (
    case("steady", _run(_FAST * 2, _KERNEL * 2)),
    case("busy_from_the_start", _run(_SLOW * 2, _BUSY * 2)),
    case("only_the_run_slows", _run(_FAST + _SLOW, _KERNEL * 2)),
    case("three_epochs", _run([5290.0, 2650.0, 2650.0], [92e9, 46e9, 46e9])),
    case("not_a_number", _run([*_FAST, math.nan, *_SLOW[:2]], _KERNEL + _BUSY)),
    case(
        "no_kernel",
        Run(
            events=tuple(
                ev.Epoch(epoch=i, step=i, metrics={"loss": 1.0}, samples_per_second=rate)
                for i, rate in enumerate(_FAST + _SLOW, 1)
            ),
            done={"status": "finished"},
        ),
    ),
)
FAILS = (
    case("others_come", _run(_FAST + _SLOW, _KERNEL + _BUSY), kernel_slowdown=2.0),
    case(
        "throttles",
        _run([5290.0, 5200.0, 4000.0, 3300.0, 3000.0, 2900.0], [92e9, 91e9, 70e9, 58e9, 53e9, 51e9]),
        Standing.CONSISTENT,
        epochs=6,
    ),
)
