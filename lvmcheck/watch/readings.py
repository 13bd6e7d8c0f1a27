"""Numbers on their way from the device: gathered in one tensor per sample, read when the next one is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Use = Callable[[list[float]], None]


class Readings:
    """Tensors of one sample with what to do with their numbers."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Tensor, Use]] = []
        self._gathered: list[tuple[Tensor, list[tuple[int, Use]]]] = []

    def add(self, values: Tensor | Sequence[Tensor], use: Use) -> None:
        """Call ``use`` with these numbers, later."""
        tensor = values if isinstance(values, Tensor) else torch.stack([value.float() for value in values])
        self._waiting.append((tensor.detach().reshape(-1).to(torch.float64), use))

    def gather(self) -> None:
        """The sample is complete: one tensor per device, whose copy to the host is under way."""
        by_device: dict[torch.device, list[tuple[Tensor, Use]]] = {}
        for tensor, use in self._waiting:
            by_device.setdefault(tensor.device, []).append((tensor, use))
        self._waiting = []
        for device, pairs in by_device.items():
            flat = torch.cat([tensor for tensor, _ in pairs])
            if device.type != "cpu":
                flat = flat.to("cpu", non_blocking=True)
            self._gathered.append((flat, [(len(tensor), use) for tensor, use in pairs]))
        if all(device.type == "cpu" for device in by_device):
            self.read()

    def read(self) -> None:
        """Hand on what was gathered; on another device than the CPU the sample before has arrived long ago."""
        gathered, self._gathered = self._gathered, []
        for flat, uses in gathered:
            numbers, start = flat.tolist(), 0
            for count, use in uses:
                use(numbers[start : start + count])
                start += count
