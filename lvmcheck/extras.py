"""Optional packages, imported when they are needed, with one clear error when they are not there."""

from __future__ import annotations

import importlib
from types import ModuleType

from lvmcheck.errors import InputError


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
    raise InputError(
        f"package {package!r}", f"{purpose} needs it and it {gone}", fix=f'From a checkout: pip install -e ".[{extra}]"'
    )
