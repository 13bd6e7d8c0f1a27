"""Every fault of a training process, by name."""

from __future__ import annotations

from lvmcheck.selftest import data_faults, mode_faults, step_faults
from lvmcheck.selftest.plan import Fault


def faults() -> dict[str, Fault]:
    """In the order in which they are planted."""
    every = (*step_faults.FAULTS, *mode_faults.FAULTS, *data_faults.FAULTS)
    return {fault.name: fault for fault in every}
