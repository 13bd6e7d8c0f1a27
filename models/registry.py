"""Finds the models by presence: a file in ``models/lvm`` is one kind of vector model, a package ``models/<kind>`` with
a ``model.py`` one kind of language model; the one public class of that file is the model.

Names, parameters and defaults are read from the source, so that a suite file can be checked without importing torch.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import nn

HOME = Path(__file__).parent
FOLDER = HOME / "lvm"
TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


@dataclass(frozen=True)
class ModelSource:
    """What the source of a kind says: file, module, class, and parameters ``{name: (type, required)}``.

    ``optional`` names the parameters that may be None.
    """

    path: Path
    module: str
    class_name: str
    parameters: Mapping[str, tuple[type, bool]]
    optional: frozenset[str]


def model_kinds() -> list[str]:
    """The names of all vector models, sorted; does not import torch."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def language_kinds() -> list[str]:
    """The names of all language models, sorted; does not import torch."""
    return sorted(path.parent.name for path in HOME.glob("*/model.py"))


def source(kind: str, kinds: Collection[str] | None = None) -> ModelSource:
    """What the source of ``kind`` says, without importing it.

    Args:
        kinds: the names that fit here; None takes every model.

    Raises:
        InputError: no such kind, or its file does not hold exactly one public class with annotated parameters.
    """
    vectors = model_kinds()
    known = (*vectors, *language_kinds()) if kinds is None else kinds
    if kind not in known:
        raise InputError("model", f"no such model {kind!r}", key="run.model.kind", fix=nearest(kind, known))
    path, module = (
        (FOLDER / f"{kind}.py", f"lvm.{kind}") if kind in vectors else (HOME / kind / "model.py", f"{kind}.model")
    )
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    where = f"models/{module.replace('.', '/')}.py"
    if len(classes) != 1:
        raise InputError(where, f"expected one public class, got {len(classes)}")
    parameters, optional = _parameters(classes[0], where)
    return ModelSource(path, f"models.{module}", classes[0].name, parameters, optional)


def _parameters(node: ast.ClassDef, where: str) -> tuple[dict[str, tuple[type, bool]], frozenset[str]]:
    init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    if init is None:
        return {}, frozenset()
    plain = [*init.args.posonlyargs, *init.args.args][1:]
    required = [True] * (len(plain) - len(init.args.defaults)) + [False] * len(init.args.defaults)
    named = [*zip(plain, required, strict=True)]
    named += [(arg, default is None) for arg, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)]
    found, optional = {}, set()
    for arg, needed in named:
        written = "" if arg.annotation is None else ast.unparse(arg.annotation)
        annotation = written.removesuffix(" | None")
        if annotation not in TYPES:
            raise InputError(where, f"parameter {arg.arg}: expected one of {', '.join(TYPES)}, got {written!r}")
        found[arg.arg] = (TYPES[annotation], needed)
        if annotation != written:
            optional.add(arg.arg)
    return found, frozenset(optional)


def check_parameters(kind: str, params: Mapping[str, object], kinds: Collection[str] | None = None) -> None:
    """Whether ``params`` are parameters of that kind and of their declared types; does not import torch.

    Integer parameters of models are widths and counts, so they are at least 1.

    Raises:
        InputError: unknown kind or parameter (nearest offered), a missing one, or a value of another type or range.
    """
    declared = source(kind, kinds)
    known = declared.parameters
    for name, value in params.items():
        key = f"run.model.{name}"
        if name not in known:
            raise InputError(f"model {kind}", "no such parameter", key=key, fix=nearest(name, known))
        if value is None and name in declared.optional:
            continue
        expected = known[name][0]
        fits = type(value) is expected or (expected is float and type(value) is int)
        if not fits:
            raise InputError(
                f"model {kind}", f"expected {expected.__name__}, got {type(value).__name__} {value!r}", key=key
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
    declared = source(kind)
    model: nn.Module = getattr(importlib.import_module(declared.module), declared.class_name)(**params)
    return model
