"""Whether a worker would train what its session asked for: the same code, versions, machine type and input files."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.launch.key import run_key

AFAR = "LVMCHECK_AFAR"
"""Environment variable of a trainer that a cluster started, on whatever machine."""
WHAT = {
    "source": "the trainer's source",
    "versions": "versions of Python, torch and numpy",
    "machine": "the machine type",
    "inputs": "the content of the input files",
}


def asked_of(key: Mapping[str, Any], cache: Path) -> dict[str, Any]:
    """What a session says of its side.

    Args:
        key: of the run.
        cache: where digests of unchanged files are remembered.
    """
    return {**{part: key[part] for part in WHAT}, "cache": str(cache.resolve())}


def check_same(info: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to train what the session did not ask for.

    Args:
        info: ``run.json``.
        asked: what :func:`asked_of` said.

    Raises:
        InputError: something differs, or an input file cannot be read here.
    """
    here = run_key(
        str(info["trainer"]),
        info["config"],
        int(info["seed"]),
        device=str(info["device"]),
        inputs=map(Path, asked["inputs"]),
        cache=Path(asked["cache"]),
        environment={},
    )
    for part, what in WHAT.items():
        if here[part] != asked[part]:
            raise InputError(
                f"worker {platform.node()}",
                f"{what}: expected {_short(asked[part], here[part])}, as the session has it, "
                f"got {_short(here[part], asked[part])}",
                fix="Every worker needs the same checkout, packages and data.",
            )


def _short(value: Any, other: Any) -> str:
    """Of what differs, the first."""
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        name = next(name for name in {**value, **other} if value.get(name) != other.get(name))
        return f"{name} {str(value.get(name))[:12]}"
    return str(value)[:12]
