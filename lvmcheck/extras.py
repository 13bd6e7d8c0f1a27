"""Optional packages, imported when they are needed, with one clear error when they are not there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

from lvmcheck.errors import InputError

CHECKOUT = (Path(__file__).parents[1] / "pyproject.toml").is_file()
"""Whether this is a checkout of the repository, and not an installed wheel."""


def install(extra: str, *, checkout: bool = CHECKOUT) -> str:
    """The command that installs what an extra needs."""
    if checkout:
        return f'pip install -e ".[{extra}]"'
    from importlib import metadata  # slow to import, and seldom needed

    try:
        declared = metadata.requires("lvmcheck") or []
    except metadata.PackageNotFoundError:
        declared = []
    names = [text.partition(";")[0].strip() for text in declared if re.search(rf"""extra == ["']{extra}["']""", text)]
    return " ".join(["pip install", *(f'"{name}"' for name in names or [f"lvmcheck[{extra}]"])])


def need(module: str, *, extra: str, purpose: str) -> ModuleType:
    """The module ``module``, imported now.

    Args:
        module: dotted name, such as ``wandb.proto.wandb_internal_pb2``.
        extra: the extra of lvmcheck that installs it.
        purpose: what it is needed for, such as "reading TensorBoard event files".

    Raises:
        InputError: it is not installed, or is but cannot be imported.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as problem:
        gone = "is not installed" if (problem.name or "").partition(".")[0] == package else f"lacks {problem.name}"
    except Exception as problem:
        gone = f"cannot be imported ({type(problem).__name__}: {str(problem)[:120]})"
    raise InputError(f"package {package!r}", f"{purpose} needs it and it {gone}", fix=f"{install(extra)} adds it.")
