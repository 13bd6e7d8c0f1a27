"""Broken programs, each with one fault: ``BROKEN``; and their healthy twins that need more than the ordinary ones."""

from __future__ import annotations

from suites.preflight.faults import checkpoints, inputs, losses, optimizers, outputs, tuning
from suites.preflight.faults.registry import BROKEN, Net, program
from suites.preflight.healthy import Program

__all__ = ["BROKEN", "TWINS"]
_REGISTERED = (checkpoints, losses, optimizers, outputs)

TWINS: dict[str, Program] = {
    "two_inputs": inputs.two_inputs,
    "pooled": inputs.pooled,
    "tuned": tuning.tuned,
    "net": lambda: program(Net()),
}
