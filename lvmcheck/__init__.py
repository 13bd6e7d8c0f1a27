"""pytest for training runs: judge a run while it trains, stop it when it is doomed, say why.

Nothing here imports numpy or torch until a run is read or made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "record": "lvmcheck.run.start",
    "Recorder": "lvmcheck.run.recorder",
    "load": "lvmcheck.run.directory",
    "live": "lvmcheck.report.live_cell",
    "Run": "lvmcheck.run.view",
    "evaluate": "lvmcheck.checks.protocol",
    "Check": "lvmcheck.checks.protocol",
    "Finding": "lvmcheck.checks.finding",
    "Outcome": "lvmcheck.checks.finding",
    "Verdict": "lvmcheck.checks.finding",
    "Bound": "lvmcheck.checks.bounds",
    "Fact": "lvmcheck.checks.finding",
    "InputError": "lvmcheck.errors",
    "watch": "lvmcheck.watch.start",
    "preflight": "lvmcheck.watch.preflight.start",
}
__all__ = [
    "Bound",
    "Check",
    "Fact",
    "Finding",
    "InputError",
    "Outcome",
    "Recorder",
    "Run",
    "Verdict",
    "evaluate",
    "live",
    "load",
    "preflight",
    "record",
    "watch",
]

if TYPE_CHECKING:
    from lvmcheck.checks.bounds import Bound
    from lvmcheck.checks.finding import Fact, Finding, Outcome, Verdict
    from lvmcheck.checks.protocol import Check, evaluate
    from lvmcheck.errors import InputError
    from lvmcheck.report.live_cell import live
    from lvmcheck.run.directory import load
    from lvmcheck.run.recorder import Recorder
    from lvmcheck.run.start import record
    from lvmcheck.run.view import Run
    from lvmcheck.watch.preflight.start import preflight
    from lvmcheck.watch.start import watch


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lvmcheck' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
