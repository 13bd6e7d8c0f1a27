"""Broken programs by name, each with one fault, and what they are made of."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from suites.preflight.healthy import Program, adam, labelled

BROKEN: dict[str, tuple[str, str, Program]] = {}
"""Name -> probe, code of its finding, and arguments of ``lvmcheck.preflight``."""


def broken(probe: str, code: str) -> Any:
    """Register a program with the probe that must fail, and the code of its finding."""

    def register(program: Program) -> Program:
        BROKEN[program.__name__] = (probe, code, program)
        return program

    return register


def program(
    model: nn.Module, loss: Any = functional.cross_entropy, batch: Any = None, **options: Any
) -> dict[str, Any]:
    """A classifier's arguments, unless said otherwise."""
    batch = labelled() if batch is None else batch
    return {"model": model, "batch": batch, "loss": loss, "optimizer": adam(model), **options}


class Net(nn.Module):
    """Two layers and a head; subclasses break `forward`."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, outputs)

    def hidden(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(functional.gelu(self.first(x)))
        return functional.gelu(out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.hidden(x))
        return out
