"""The beginning of a run directory: its place, and ``run.json`` with versions, platform and environment."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck import __version__
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.utc import utc

TAINTING = (
    "KMP_DUPLICATE_LIB_OK",  # OpenMP: "may cause crashes or silently produce incorrect results"
    "PYTORCH_ENABLE_MPS_FALLBACK",  # operators silently run on another device
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",  # checkpoints may execute code
)
"""Environment variables that cast doubt on what a run says; their values are recorded."""


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config as a file of JSON gives it back, so that two of them can be compared."""
    found: dict[str, Any] = json.loads(json.dumps(dict(values), default=str))
    return found


ASIDE = "aside.json"
"""Why a run directory was moved aside."""


def move_aside(folder: Path, reason: str | None = None) -> Path:
    """Rename a run directory to the first free ``name.N``, with the reason in it; nothing is deleted."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    if reason is not None and aside.is_dir():
        with contextlib.suppress(OSError):  # a full disk: the reason is said all the same
            (aside / ASIDE).write_text(json.dumps({"reason": reason, "time": utc()}) + "\n")
    return aside


def make_run(folder: Path, info: Mapping[str, Any]) -> None:
    """Make the directory and its ``run.json``: ``info`` plus versions, platform and time.

    Raises:
        InputError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise rundir.cannot_write(folder, problem) from None
    body = {
        "format": ev.FORMAT,
        "created": utc(),
        "versions": versions(),
        "platform": platform.platform(),
        "environment": tainting(os.environ),
        **info,
    }
    rundir.write_json(folder / rundir.INFO, body)


def tainting(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of :data:`TAINTING` that are set."""
    return {name: environment[name] for name in TAINTING if environment.get(name, "0") not in ("", "0")}


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers; only of what is imported already."""
    found = {"python": platform.python_version(), "lvmcheck": __version__}
    for name in ("torch", "numpy"):
        module = sys.modules.get(name)
        if module is not None:
            found[name] = str(getattr(module, "__version__", "?"))
    return found
