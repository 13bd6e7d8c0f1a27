"""``step_benchmark``: how fast anybody's step is, as ratios to what takes turns with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lvmcheck.errors import InputError, nearest
from lvmcheck.testing.devices import device_here
from lvmcheck.testing.speed import wording
from lvmcheck.testing.speed.flops import Counter
from lvmcheck.testing.speed.kernels import COPY, SIDES, copy, copy_bytes, gemm, gemm_name
from lvmcheck.testing.speed.memory import PeakMemory
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock, synchronise
from lvmcheck.testing.speed.turns import Lane, Spread, take_turns

WHERE = "step_benchmark"
TURN = 0.05
"""Seconds that a turn takes at least: the clock of a short step would be coarse."""
MOST = 10_000
DTYPES = {
    str(each).removeprefix("torch."): each for each in (torch.float32, torch.float64, torch.bfloat16, torch.float16)
}


@dataclass(frozen=True)
class Speed:
    """What was measured. A :class:`~lvmcheck.testing.speed.turns.Spread` is a median with its quartiles.

    Attributes:
        place: device, threads and clock.
        seconds: of one step. items: of one step, where they were given.
        kernel: the calibration kernel, a square matrix product. ratio: a step over the kernel, in the same turns.
        flops: operations of one step (products, convolutions, attention).
        of_gemm: share of the kernel's rate; None for a step without such operations.
        of_copy: share of the rate at which memory is copied; None where nobody said how much a step moves.
        peak_bytes: memory that one step adds at its peak; None where the machine does not tell.
        over: a step over each of what ran beside it.
    """

    place: Place
    seconds: Spread
    items: int | None
    kernel: str
    ratio: Spread
    flops: int
    of_gemm: Spread | None
    of_copy: Spread | None
    peak_bytes: int | None
    over: Mapping[str, Spread] = field(default_factory=dict)

    @property
    def items_per_second(self) -> float | None:
        """Of the median step."""
        return None if self.items is None else self.items / self.seconds.median

    def __str__(self) -> str:
        return wording.speed(self)


class StepBenchmark:
    """Measures one step; the fixture of that name. Its result goes into pytest-benchmark's storage, where
    ``--lvm-throughput-compare`` finds it.
    """

    def __init__(self, benchmark: Any) -> None:
        self.benchmark = benchmark
        self.used = False

    def __call__(
        self,
        step: Lane,
        *,
        items: int | None = None,
        beside: Mapping[str, Lane] | None = None,
        device: str | torch.device | None = None,
        dtype: str = "float32",
        moved: int | None = None,
        rounds: int = 8,
        warm_up: int = 3,
    ) -> Speed:
        """Runs ``step``, a function of no argument, after a warm-up in turns with a matrix product and ``beside``.

        Args:
            items: samples, rows or tokens of one step.
            beside: other functions to compare with, by name.
            device: by default the one that the step's tensors are on.
            dtype: of the matrix product.
            moved: bytes that a step reads and writes.
            rounds: turns that are measured. warm_up: steps before them.

        Raises:
            InputError: an argument cannot be used as it is.
        """
        lanes = dict(beside or {})
        self._check(step, lanes, items=items, moved=moved, rounds=rounds, warm_up=warm_up, dtype=dtype)
        for function in (step, *lanes.values()):
            for _ in range(warm_up):
                function()
        flops, kind = _counted(step)
        on = device_here(device or kind, WHERE)
        before, place = clock.place, Place(on, torch.get_num_threads())
        clock.use(place)
        try:
            peak = _peak(step, on)
            return self._measure(step, lanes, place, items, dtype, moved, rounds, flops, peak)
        finally:
            clock.use(before)

    def _measure(
        self, step: Lane, lanes: Mapping[str, Lane], place: Place,
        items: int | None, dtype: str, moved: int | None, rounds: int, flops: int, peak: int | None,
    ) -> Speed:  # fmt: skip
        side = SIDES.get(place.device.type, SIDES["cuda"])
        kernel = gemm_name(side, dtype)
        often = {name: _fills(lane) for name, lane in (("", step), *lanes.items())}
        beside: dict[str, Lane] = {name: _repeated(lane, often[name]) for name, lane in lanes.items()}
        beside[kernel] = gemm(place.device, side, DTYPES[dtype])
        if moved is not None:
            beside[COPY] = copy(place.device)
        turns = take_turns(self.benchmark, _repeated(step, often[""]), beside, rounds=rounds)
        once = 1 / often[""]
        ratio = turns.over(kernel).times(once)
        speed = Speed(
            place=place,
            seconds=Spread.of(turns.subject).times(once),
            items=items,
            kernel=kernel,
            ratio=ratio,
            flops=flops,
            of_gemm=ratio.inverse().times(flops / (2 * side**3)) if flops else None,
            of_copy=None
            if not moved
            else turns.over(COPY).times(once).inverse().times(moved / copy_bytes(place.device)),
            peak_bytes=peak,
            over={name: turns.over(name).times(often[name] * once) for name in lanes},
        )
        comparable(
            self.benchmark, ratio, calibration=kernel, place=place, batch=items, samples_per_s=speed.items_per_second,
            dtype=dtype, flops=flops, peak_bytes=peak,
        )  # fmt: skip
        return speed

    def _check(self, step: object, lanes: Mapping[str, object], *, dtype: str, **numbers: int | None) -> None:
        if self.used:
            fix = "Give it what to compare with as beside={name: function}."
            raise InputError(WHERE, "measures one step a test, and was called again", fix=fix)
        self.used = True
        for name, function in (("step", step), *lanes.items()):
            if not callable(function):
                raise InputError(WHERE, f"expected a function of no argument, got {type(function).__name__}", key=name)
        for name, number in numbers.items():
            whole = isinstance(number, int) and not isinstance(number, bool)
            if number is not None and not (whole and number >= 1):
                raise InputError(WHERE, f"expected a whole number above 0, got {number!r}", key=name)
        if dtype not in DTYPES:
            raise InputError(WHERE, f"no dtype {dtype!r}", key="dtype", fix=nearest(str(dtype), DTYPES))


class _Devices(Counter):  # type: ignore[no-untyped-call]
    """Notes as well on which kinds of device something is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if isinstance(out, Tensor):
            self.kinds.add(out.device.type)
        return out


def _counted(step: Lane) -> tuple[int, str]:
    """Operations of one step, and the kind of device it is computed on: an accelerator where one takes part."""
    with _Devices() as seen:
        step()
    return int(seen.total), next(iter(sorted(seen.kinds - {"cpu", "meta"})), "cpu")


def _peak(step: Lane, device: torch.device) -> int | None:
    memory = PeakMemory(device)
    memory.start()
    step()
    synchronise(device)
    return memory.peak()


def _fills(lane: Lane) -> int:
    """Calls that fill a turn."""
    count = 1
    while count < MOST:
        began = clock()
        _repeated(lane, count)()
        taken = clock() - began
        if taken >= TURN / 2:
            return max(1, min(MOST, round(count * TURN / taken)))
        count *= 4
    return MOST


def _repeated(lane: Lane, count: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            lane()

    return run
