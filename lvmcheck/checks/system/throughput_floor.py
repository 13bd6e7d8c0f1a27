"""throughput_floor: a run does not become slower, and its throughput is at least the required one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, Outcome, error, not_recorded
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_least, at_most, settle
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete
from lvmcheck.checks.shared.pace import PROBE, RATE, Pace, UnpacedError, ends, fall, middle, paces
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

IMPOSSIBLE = 1.25
"""A share that no model reaches: the square product that the share is of comes within this of any other."""


@dataclass(frozen=True, kw_only=True)
class ThroughputFloor(Check):
    """The run does not slow down from early to late epochs and, with a floor, reaches a share of the machine's rate.

    The pace of an epoch is the share of the ceiling: samples a second times operations a sample over the rate of a
    calibration kernel (a square matrix product on the same device and threads) that the trainer times just before and
    just after the training loop. It is the model flops utilisation (MFU). The machine and steady load are in both parts
    of the fraction and cancel; load that comes and goes shows as two kernel rates that differ. Runs without a kernel
    are judged by their samples a second, which measures the load of the machine, too.

    - `slowdown`: the median pace of the first third of the epochs over that of the last third is at most this.
    - `floor`: the median share over all epochs is at least this.
    - `samples_per_second`: the median rate over all epochs is at least this; for one machine, alone, or a recorded run.
    - `agree`: an epoch whose two kernel rates differ by more than this part of their mean was disturbed half-way and is
      not judged. Where that leaves less than half of the epochs, the answer is the error "not idle": on so busy a
      machine two rates agree by chance, and the shares mean nothing.

    A run that used another device than its configuration asks for, or that lets MPS fall back to the CPU, is refused.

    Why:
    Nothing fails when training becomes slow. Between October 23 and 29 the original project's AMN went from 6,700
    samples a second to 3,700 with the same code and size, because other services had come to share the GPU; nobody
    noticed. A bound in seconds fails on every busy machine, and people learn to ignore it.

    Usual causes:
    - Something grows with every epoch: a history kept whole, a log written anew, a graph that is not freed.
    - A synchronisation at every step: .item(), a print, a metric read from the device.
    - Other work on the machine, thermal throttling or a power cap; without a kernel nothing tells these apart.
    - The data pipeline is starved: fewer workers, a slower disk, a cache that no longer fits.
    - A wrong build or setting: a debug build, deterministic algorithms, one thread instead of the cores' number.

    Fix:
    Compare the rate of the kernel by epoch with that of the samples. If both fell, look at the machine: other
    processes, temperature, power. If only the samples fell, profile one step of an early and of a late epoch. `pytest
    suites/throughput --lvm-throughput-compare FILE` tells which part became slower between two commits.

    Healthy runs that must pass:
    A slow first epoch (compilation, caches); a machine that is busy all the time, so that samples and kernel are slow
    together; epochs that were disturbed half-way, if others were not.

    Source:
    timestamps of the original project (1.8 times slower, unnoticed); model flops utilisation: Chowdhery et al. 2022
    (PaLM), appendix B.
    """

    metric_fields = ()

    floor: float | None = None
    samples_per_second: float | None = None
    slowdown: float = 1.5
    agree: float = 0.3

    def __post_init__(self) -> None:
        if self.floor is not None:
            check_number("floor", self.floor, 1e-6, 1.0)
        if self.samples_per_second is not None:
            check_number("samples_per_second", self.samples_per_second, 1e-9)
        check_number("slowdown", self.slowdown, 1.01)
        check_number("agree", self.agree, 0.01, 1.0)

    def detail(self) -> str:
        asked = [] if self.floor is None else [f"share {self.floor:g}"]
        asked += [] if self.samples_per_second is None else [f"{self.samples_per_second:g} a second"]
        return ", ".join(asked)

    def judge(self, run: Run) -> Outcome:
        if not complete(run):
            return awaiting(run, "the pace of every epoch")
        refused = _fallback(run)
        if refused is not None:
            return error(f"refused: {refused}")
        try:
            found = paces(run)
        except UnpacedError as problem:
            return not_recorded(str(problem))
        if not found:
            return not_recorded(f"neither a probe {PROBE!r} nor an epoch records {RATE!r}")
        if found[-1].epoch < run.last_epoch:
            return not_recorded(f"no throughput is recorded after epoch {found[-1].epoch}, of {run.last_epoch} epochs")
        if len({pace.kernel is None for pace in found}) > 1:
            return not_recorded("some epochs time a calibration kernel and others do not")
        idle = [pace for pace in found if not pace.unequal() > self.agree]
        if 2 * len(idle) < len(found):
            shown = ", ".join(f"{100 * pace.unequal():.0f} %" for pace in found[:6])
            disturbed = f"{len(found) - len(idle)} of {len(found)} epochs were disturbed"
            return error(f"not idle: {disturbed}: the kernel's rate before and after them differs by {shown}")
        return self._compare(idle, len(found))

    def _compare(self, idle: Sequence[Pace], total: int) -> Outcome:
        """The required comparisons, on epochs that may be judged."""
        rates = [pace.rate for pace in idle]
        shares = [share for pace in idle if (share := pace.share) is not None]
        if shares and middle(shares) > IMPOSSIBLE:
            return error(
                f"share {middle(shares):.3g} of the kernel's rate is impossible: operations or kernel are wrong"
            )
        if self.floor is not None and not shares:
            return not_recorded("the run times no calibration kernel, which floor is a share of")
        values = shares or rates
        if len(values) < 2 and self.floor is None and self.samples_per_second is None:
            return not_recorded(f"the throughput of one epoch of {total} can be judged, and a slowdown needs two")
        kernels = [kernel for pace in idle if (kernel := pace.kernel) is not None]
        columns = {"share_of_ceiling": shares, "samples_per_second": rates, "kernel_flop_per_second": kernels}
        shown = tuple(fact for name, column in columns.items() for fact in _facts(name, column))
        counts = (Fact("undisturbed_epochs", len(idle)), Fact("epochs", total))
        return settle(self._findings(rates, shares, (*shown, *counts)), evaluated=len(idle))

    def _findings(self, rates: Sequence[float], shares: Sequence[float], shown: tuple[Fact, ...]) -> list[Finding]:
        found: list[Finding] = []
        if len(rates) > 1:
            code = "share_fell" if shares else "samples_per_second_fell"
            phrase = "throughput of the first third of the epochs is {measured} times that of the last"
            slower = fall(shares or rates)
            found.append(at_most(code, slower, self.slowdown, evidence=shown, phrase=phrase))
        if self.floor is not None:
            found.append(at_least("share_of_ceiling", middle(shares), self.floor, evidence=shown))
        if self.samples_per_second is not None:
            found.append(at_least("samples_per_second", middle(rates), self.samples_per_second, evidence=shown))
        return found


def _facts(name: str, values: Sequence[float]) -> tuple[Fact, ...]:
    """Medians of the early and of the late epochs; the one value of a single epoch."""
    if len(values) < 2:
        return tuple(Fact(name, value) for value in values)
    return tuple(Fact(f"{when}_{name}", value) for when, value in zip(("early", "late"), ends(values), strict=True))


def _fallback(run: Run) -> str | None:
    """Why the device that was used is not, or may not be, the one that was asked for; None where nothing says so."""
    asked, used = run.config.get("device", "auto"), run.used_device
    if used is not None and asked != "auto" and asked != used:
        return f"the configuration requires the device {asked}, and the trainer used {used}"
    environment = run.info.get("environment")
    fallback = isinstance(environment, dict) and "PYTORCH_ENABLE_MPS_FALLBACK" in environment
    if fallback and used != "cpu" and "mps" in (used, asked):
        return "PYTORCH_ENABLE_MPS_FALLBACK lets operators run on the CPU without notice"
    return None


GEMM, SAMPLE = 92e9, 11.4e6  # history 18: one thread of a 2.45 GHz EPYC, and training AMN on one sample


def _timed(*epochs: tuple[float, float, float], config: dict[str, object] | None = None, used: str = "") -> Run:
    """Epochs of (samples a second, kernel before, kernel after)."""
    keys = (RATE, "kernel_before", "kernel_after")
    values = ({**dict(zip(keys, epoch, strict=True)), "flops_per_sample": SAMPLE} for epoch in epochs)
    run = language.probed(PROBE, *values, config=config)
    device = (ev.Device(kind=used, about="1 thread"),) if used else ()
    return Run(events=(*device, *run.events), info=run.info, done=run.done)


def _steady(*rates: float, kernel: float = GEMM) -> Run:
    return _timed(*((rate, kernel, kernel) for rate in rates))


def _recorded(*rates: float) -> Run:
    """A run that carries only each epoch's samples a second, as those of other loops do."""
    said = (ev.Epoch(epoch=i, step=i, metrics={"loss": 1.0}, samples_per_second=r) for i, r in enumerate(rates, 1))
    return Run(events=tuple(said), done={"status": "finished"})


_case = made.Cases(ThroughputFloor())
_FLOOR = ThroughputFloor(floor=0.45)
_NAN = math.nan
PASSES = (
    made.case("perfect_oracle_at_the_ceiling", ThroughputFloor(floor=1.0), _steady(*[GEMM / SAMPLE] * 4)),
    made.case("amn_batch_512_one_thread", ThroughputFloor(floor=0.7), _steady(6210, 6200, 6190)),
    _case("slow_first_epoch", _steady(900, 3270, 3260, 3250, 3280, 3270)),
    made.case("one_epoch_with_a_floor", _FLOOR, _steady(5290), "share_of_ceiling", 0.6555),
    made.case(
        "busy_machine_slows_both",
        _FLOOR,
        _timed(*[(5290.0, GEMM, GEMM)] * 3, *[(2400.0, 0.45 * GEMM, 0.44 * GEMM)] * 3),
    ),
    made.case(
        "one_epoch_disturbed_half_way",
        _FLOOR,
        _timed((5290, GEMM, GEMM), (5200, GEMM, GEMM), (1900, GEMM, 0.3 * GEMM), (5250, GEMM, GEMM)),
        undisturbed_epochs=3,
        epochs=4,
    ),
    made.case("october_23", ThroughputFloor(samples_per_second=6000), _recorded(6650, 6700, 6720)),
)
FAILS = (
    made.case(
        "october_29", ThroughputFloor(samples_per_second=6000), _recorded(3800, 3650, 3600), "samples_per_second", 3650
    ),
    _case("recorded_rate_halves", _recorded(6700, 6700, 6600, 3800, 3700, 3650), "samples_per_second_fell", 1.823),
    _case("a_list_grows", _steady(3270, 3200, 2600, 2100, 1700, 1400), "share_fell", early_samples_per_second=3235),
    made.case("below_its_floor", _FLOOR, _steady(2740, 2740, 2740), "share_of_ceiling", 0.3395),
    made.case("one_epoch_below_its_floor", _FLOOR, _steady(1700)),
    _case("stands_still", _steady(3270, 3270, 0.0), measured=math.inf),
    made.case("nan_rate", _FLOOR, _steady(5290, _NAN, 5290), measured=_NAN),
    _case("nan_kernel", _timed((5290, GEMM, GEMM), (5290, _NAN, GEMM)), measured=_NAN),
    _case("nan_recorded", _recorded(3270, _NAN), measured=_NAN),
)
