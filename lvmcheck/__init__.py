"""pytest for training runs: judge a run while it trains, stop it when it is doomed, say why.

Nothing here imports numpy or torch until a run is read or made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "record": "lvmcheck.recorder",
    "Recorder": "lvmcheck.recorder",
    "load": "lvmcheck.rundir",
    "Run": "lvmcheck.run",
    "evaluate": "lvmcheck.check",
    "Check": "lvmcheck.check",
    "Finding": "lvmcheck.finding",
    "Outcome": "lvmcheck.finding",
    "Verdict": "lvmcheck.finding",
    "InputError": "lvmcheck.errors",
}
__all__ = ["Check", "Finding", "InputError", "Outcome", "Recorder", "Run", "Verdict", "evaluate", "load", "record"]

if TYPE_CHECKING:
    from lvmcheck.check import Check, evaluate
    from lvmcheck.errors import InputError
    from lvmcheck.finding import Finding, Outcome, Verdict
    from lvmcheck.recorder import Recorder, record
    from lvmcheck.run import Run
    from lvmcheck.rundir import load


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lvmcheck' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
