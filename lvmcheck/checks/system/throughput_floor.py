"""throughput_floor: a run keeps its pace, and its pace is the one that was asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Outcome, error
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import Comparison, at_least, at_most, settle
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete
from lvmcheck.checks.shared.pace import PROBE, RATE, Pace, UnpacedError, ends, fall, middle, paces
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

IMPOSSIBLE = 1.25
"""A share that no model reaches: the square product that the share is of comes within this of any other."""


@dataclass(frozen=True, kw_only=True)
class ThroughputFloor(Check):
    """The run keeps its pace from its early to its late epochs and, where asked, reaches a share of the machine's own.

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
    Nothing fails when training becomes slow. Between October 23 and 29 the ancestors' AMN went from 6,700 samples a
    second to 3,700 with the same code and size, because other services had come to share the GPU; nobody noticed. A
    bound in seconds would have been off already: it alarms on every busy machine, and people learn to ignore it.

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
    The ancestors' timestamps (1.8 times slower, unnoticed); model flops utilisation: Chowdhery et al. 2022 (PaLM),
    appendix B.
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
            return error(str(problem))
        if not found:
            return error(f"neither a probe {PROBE!r} nor an epoch records {RATE!r}: not measured")
        if found[-1].epoch < run.last_epoch:
            return error(f"no throughput is recorded after epoch {found[-1].epoch}, of {run.last_epoch} epochs")
        if len({pace.kernel is None for pace in found}) > 1:
            return error("some epochs time a calibration kernel and others do not: they cannot be compared")
        idle = [pace for pace in found if not pace.unequal() > self.agree]
        if 2 * len(idle) < len(found):
            shown = ", ".join(f"{100 * pace.unequal():.0f} %" for pace in found[:6])
            disturbed = f"{len(found) - len(idle)} of {len(found)} epochs were disturbed"
            return error(f"not idle: {disturbed}: the kernel's rate before and after them differs by {shown}")
        return self._compare(idle, f"{len(idle)} of {len(found)} epochs undisturbed")

    def _compare(self, idle: Sequence[Pace], judged: str) -> Outcome:
        """The comparisons that are asked for, on epochs that may be judged."""
        rates = [pace.rate for pace in idle]
        shares = [share for pace in idle if (share := pace.share) is not None]
        values, what = (shares, "share of the ceiling") if shares else (rates, "samples a second")
        kernels = [kernel for pace in idle if (kernel := pace.kernel) is not None]
        beside = (("samples a second", rates), ("flop/s of the kernel", kernels)) if shares else ()
        said = (_described(what, values), *(_described(*each) for each in beside), judged)
        if shares and middle(shares) > IMPOSSIBLE:
            return error(
                f"a share of {middle(shares):.3g} of the kernel's rate cannot be: operations or kernel are wrong"
            )
        if self.floor is not None and not shares:
            return error("floor: the run times no calibration kernel, so that no share of the ceiling is known")
        if len(values) < 2 and self.floor is None and self.samples_per_second is None:
            return error(f"the pace of one epoch is known ({judged}): no fall can be measured")
        compared: list[Comparison] = []
        if len(values) > 1:
            compared.append(at_most(f"fall of the {what}, early over late epochs", fall(values), self.slowdown, said))
        if self.floor is not None:
            compared.append(at_least("share of the ceiling", middle(shares), self.floor, said))
        if self.samples_per_second is not None:
            compared.append(at_least("samples a second", middle(rates), self.samples_per_second, said))
        return settle(compared, evaluated=len(idle))


def _described(what: str, values: Sequence[float]) -> str:
    """``samples a second 3,700: 6,700 early, 3,650 late``."""
    parts = f": {' early, '.join(map(figure, ends(values)))} late" if len(values) > 1 else ""
    return f"median {what} {figure(middle(values))}{parts}"


def _fallback(run: Run) -> str | None:
    """Why the device that was used is not, or may not be, the one that was asked for; None where nothing says so."""
    asked, used = run.config.get("device", "auto"), run.used_device
    if used is not None and asked != "auto" and asked != used:
        return f"the configuration asks for the device {asked}, and the trainer used {used}"
    environment = run.info.get("environment")
    fallback = isinstance(environment, dict) and "PYTORCH_ENABLE_MPS_FALLBACK" in environment
    if fallback and used != "cpu" and "mps" in (used, asked):
        return "PYTORCH_ENABLE_MPS_FALLBACK lets operators run on the CPU unsaid"
    return None


GEMM, SAMPLE = 92e9, 11.4e6  # facts E6: one thread of a 2.45 GHz EPYC, and training AMN on one sample


def _timed(*epochs: tuple[float, float, float], config: dict[str, object] | None = None, used: str = "") -> Run:
    """Epochs of (samples a second, kernel before, kernel after)."""
    keys = (RATE, "kernel_before", "kernel_after")
    values = ({**dict(zip(keys, epoch, strict=True)), "flops_per_sample": SAMPLE} for epoch in epochs)
    run = language.probed(PROBE, *values, config=config)
    notes = (ev.Note(text=f"device {used}, 1 thread"),) if used else ()
    return Run(events=(*notes, *run.events), info=run.info, done=run.done)


def _steady(*rates: float, kernel: float = GEMM) -> Run:
    return _timed(*((rate, kernel, kernel) for rate in rates))


def _recorded(*rates: float) -> Run:
    """A run that carries only each epoch's samples a second, as those of other loops do."""
    said = (ev.Epoch(epoch=i, step=i, metrics={"loss": 1.0}, samples_per_second=r) for i, r in enumerate(rates, 1))
    return Run(events=tuple(said), done={"status": "finished"})


_CHECK = ThroughputFloor()
_FLOOR = ThroughputFloor(floor=0.45)
_NAN = math.nan
PASSES: Sequence[Case] = (
    made.case("perfect_oracle_at_the_ceiling", ThroughputFloor(floor=1.0), _steady(*[GEMM / SAMPLE] * 4)),
    made.case("amn_batch_512_one_thread", ThroughputFloor(floor=0.7), _steady(6210, 6200, 6190)),
    made.case("slow_first_epoch", _CHECK, _steady(900, 3270, 3260, 3250, 3280, 3270)),
    made.case("one_epoch_with_a_floor", _FLOOR, _steady(5290), ("0.6555",)),
    made.case(
        "busy_machine_slows_both",
        _FLOOR,
        _timed(*[(5290.0, GEMM, GEMM)] * 3, *[(2400.0, 0.45 * GEMM, 0.44 * GEMM)] * 3),
    ),
    made.case(
        "one_epoch_disturbed_half_way",
        _FLOOR,
        _timed((5290, GEMM, GEMM), (5200, GEMM, GEMM), (1900, GEMM, 0.3 * GEMM), (5250, GEMM, GEMM)),
        ("3 of 4 epochs undisturbed",),
    ),
    made.case("ancestors_october_23", ThroughputFloor(samples_per_second=6000), _recorded(6650, 6700, 6720)),
)
FAILS: Sequence[Case] = (
    made.case(
        "ancestors_october_29", ThroughputFloor(samples_per_second=6000), _recorded(3800, 3650, 3600), ("3,650",)
    ),
    made.case("recorded_rate_halves", _CHECK, _recorded(6700, 6700, 6600, 3800, 3700, 3650), ("1.8",)),
    made.case("a_list_grows", _CHECK, _steady(3270, 3200, 2600, 2100, 1700, 1400), ("early over late", "3,235 early")),
    made.case("below_its_floor", _FLOOR, _steady(2740, 2740, 2740), ("0.3395", "at least 0.45")),
    made.case("one_epoch_below_its_floor", _FLOOR, _steady(1700)),
    made.case("stands_still", _CHECK, _steady(3270, 3270, 0.0), ("infinite",)),
    made.case("nan_rate", _FLOOR, _steady(5290, _NAN, 5290), ("NaN",)),
    made.case("nan_kernel", _CHECK, _timed((5290, GEMM, GEMM), (5290, _NAN, GEMM)), ("NaN",)),
    made.case("nan_recorded", _CHECK, _recorded(3270, _NAN), ("NaN",)),
)
