"""The words of a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lvmcheck.testing.speed.stopwatch import Place
    from lvmcheck.testing.speed.turns import Spread


class Measured(Protocol):
    """What is told of a step."""

    @property
    def place(self) -> Place: ...
    @property
    def seconds(self) -> Spread: ...
    @property
    def items_per_second(self) -> float | None: ...
    @property
    def kernel(self) -> str: ...
    @property
    def ratio(self) -> Spread: ...
    @property
    def of_gemm(self) -> Spread | None: ...
    @property
    def of_copy(self) -> Spread | None: ...
    @property
    def peak_bytes(self) -> int | None: ...
    @property
    def over(self) -> Mapping[str, Spread]: ...


def speed(measured: Measured) -> str:
    """A line for each thing that is known, medians with their middle halves."""
    rate = measured.items_per_second
    lines = [
        f"a step: {measured.seconds.words(_time)} on {measured.place.words()}",
        *([] if rate is None else [f"items a second: {rate:,.0f}"]),
        f"over {measured.kernel}: {measured.ratio.words(_times)}",
        *_share("of its rate (model flops utilisation)", measured.of_gemm),
        *_share("of the rate of copying memory", measured.of_copy),
        *(f"over {name}: {spread.words(_times)}" for name, spread in measured.over.items()),
        *([] if measured.peak_bytes is None else [f"memory added at its peak: {measured.peak_bytes / 2**20:,.1f} MiB"]),
    ]
    return "\n".join(lines)


def _share(what: str, share: Spread | None) -> list[str]:
    return [] if share is None else [f"{what}: {share.words(lambda part: f'{100 * part:.1f} %')}"]


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _times(ratio: float) -> str:
    return f"{ratio:.3g}"
