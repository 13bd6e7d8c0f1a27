"""Finds the models by presence: one file in ``models/lvm`` is one kind, its one public class is the model.

Names, parameters and defaults are read from the source, so that a suite file can be checked without importing torch.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(__file__).parent / "lvm"
TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


@dataclass(frozen=True)
class ModelSource:
    """What the source of a kind says: its file, class, and parameters ``{name: (type, required)}``."""

    path: Path
    class_name: str
    parameters: Mapping[str, tuple[type, bool]]


def model_kinds() -> list[str]:
    """The names of all models, sorted; does not import torch."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def source(kind: str) -> ModelSource:
    """What the source of ``kind`` says, without importing it.

    Raises:
        InputError: no such kind, or its file does not hold exactly one public class with annotated parameters.
    """
    kinds = model_kinds()
    if kind not in kinds:
        raise InputError("model", f"no such model {kind!r}", key="run.model.kind", fix=nearest(kind, kinds))
    path = FOLDER / f"{kind}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    if len(classes) != 1:
        raise InputError(f"models/lvm/{kind}.py", f"expected one public class, got {len(classes)}")
    return ModelSource(path, classes[0].name, _parameters(classes[0], kind))


def _parameters(node: ast.ClassDef, kind: str) -> dict[str, tuple[type, bool]]:
    init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    if init is None:
        return {}
    plain = [*init.args.posonlyargs, *init.args.args][1:]
    required = [True] * (len(plain) - len(init.args.defaults)) + [False] * len(init.args.defaults)
    named = [*zip(plain, required, strict=True)]
    named += [(arg, default is None) for arg, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)]
    found = {}
    for arg, needed in named:
        annotation = "" if arg.annotation is None else ast.unparse(arg.annotation)
        if annotation not in TYPES:
            raise InputError(
                f"models/lvm/{kind}.py", f"parameter {arg.arg}: expected one of {', '.join(TYPES)}, got {annotation!r}"
            )
        found[arg.arg] = (TYPES[annotation], needed)
    return found


def check_parameters(kind: str, params: Mapping[str, object]) -> None:
    """Whether ``params`` are parameters of that kind and of their declared types; does not import torch.

    Integer parameters of models are widths and counts, so they are at least 1.

    Raises:
        InputError: unknown kind or parameter (nearest offered), a missing one, or a value of another type or range.
    """
    known = source(kind).parameters
    for name, value in params.items():
        key = f"run.model.{name}"
        if name not in known:
            raise InputError(f"model {kind}", "no such parameter", key=key, fix=nearest(name, known))
        wanted = known[name][0]
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        if not fits:
            raise InputError(
                f"model {kind}", f"expected {wanted.__name__}, got {type(value).__name__} {value!r}", key=key
            )
        if type(value) is int and value < 1:
            raise InputError(f"model {kind}", f"expected a width or count of at least 1, got {value}", key=key)
    missing = [name for name, (_, required) in known.items() if required and name not in params]
    if missing:
        raise InputError(f"model {kind}", "expected a value, got none", key=f"run.model.{missing[0]}")


def build(kind: str, **params: object) -> nn.Module:
    """A new model of that kind with default initialisation from torch's global generator.

    Raises:
        InputError: as :func:`check_parameters`, or what the model itself says about a value.
    """
    check_parameters(kind, params)
    module = importlib.import_module(f"models.lvm.{kind}")
    model: nn.Module = getattr(module, source(kind).class_name)(**params)
    return model
