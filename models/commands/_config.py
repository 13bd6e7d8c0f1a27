"""The [run] table that the options of ``train`` describe, checked before torch is imported."""

from __future__ import annotations

import argparse
import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError, nearest
from models.registry import HOME, model_kinds

COGNATE = ("reasoning", "memory", "speed")
"""The three specialisations of the language model."""
SUITES = HOME.parent / "suites"
RECIPES = ("cognate_phase1/{}",)
"""Suites whose [run] is how a specialisation is trained; the first that is there."""
LAMBDAS = {"mse": 1.0, "info_nce": 0.0, "moment": 0.0, "variance": 0.0}
"""Loss terms of a vector model, and their weights where nothing is said."""
EPOCHS = 20
OF_SUITES = ("trainer", "seeds", "env", "inputs", "timeout")
"""Keys of a suite's [run] that are not the trainer's."""
QUICK = {"vector": {"sequences": 1_000, "val_sequences": 200, "ood_sequences": 100}, "language": {"records": 400}}
"""What ``--test`` makes of generated data."""


@dataclass(frozen=True)
class Plan:
    """What is trained: the name of a trainer in ``models.trainers``, and its config with every default written out."""

    trainer: str
    config: dict[str, Any]

    @property
    def seed(self) -> int:
        return int(self.config["seed"])


def plan(options: argparse.Namespace) -> Plan:
    """What the options ask for.

    Raises:
        InputError: an unknown model, key or value, or a recipe that cannot be read.
    """
    known = (*model_kinds(), *COGNATE)
    if options.model not in known:
        raise InputError("--model", f"no such model {options.model!r}", fix=nearest(options.model, known))
    trainer = "language" if options.model in COGNATE else "vector"
    run = _recipe(options, trainer)
    schema = importlib.import_module(f"models.trainers.{trainer}_config")
    _model(run, options.model)
    _data(run, options, schema)
    if options.test:
        _quick(run, trainer)
    _loss(run, options, trainer)
    if options.epochs is not None or options.test:
        _epochs(run, options.epochs or 1)
    for key in ("batch_size", "lr", "muon_lr", "seed", "device", "threads", "keep_every"):
        if getattr(options, key) is not None:
            run[key] = getattr(options, key)
    if options.patience is not None:
        run["early_stop"] = {"patience": options.patience, "min_delta": options.min_delta}
    for assignment in options.set or ():
        _set(run, assignment)
    return Plan(trainer, schema.resolve(run))


def _recipe(options: argparse.Namespace, trainer: str) -> dict[str, Any]:
    """The [run] of a suite with its profile, or the little that a vector model needs."""
    path = options.recipe
    if path is None and trainer == "vector":
        return {"epochs": EPOCHS, "loss": {}, "data": {}, "model": {}}
    path = _usual(options.model) if path is None else path
    file = path / "suite.toml" if path.is_dir() else path
    try:
        suite = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror}", fix="--recipe names a suite.") from None
    except ValueError as error:
        raise InputError(file, f"not TOML: {str(error)[:120]}") from None
    run = suite.get("run")
    if not isinstance(run, dict) or run.get("trainer") != trainer:
        got = run.get("trainer") if isinstance(run, dict) else None
        problem = f"expected a suite with trainer {trainer!r} for model {options.model!r}, got {got!r}"
        raise InputError(file, problem, key="run.trainer")
    profiles = suite.get("profile", {})
    name = options.profile or suite.get("suite", {}).get("default_profile", "smoke")
    if options.profile is not None and options.profile not in profiles:
        raise InputError(file, f"no profile {options.profile!r}", key="profile", fix=nearest(name, profiles))
    for key, value in profiles.get(name, {}).items():
        run[key] = {**run.get(key, {}), **value} if isinstance(value, dict) else value
    seeds = run.get("seeds") or [0]
    return {"seed": seeds[0], **{key: value for key, value in run.items() if key not in OF_SUITES}}


def _usual(model: str) -> Path:
    """The recipe of a specialisation."""
    places = [SUITES / name.format(model) for name in RECIPES]
    return next((place for place in places if (place / "suite.toml").is_file()), places[-1])


def _model(run: dict[str, Any], name: str) -> None:
    given = run.get("model", {})
    named = {"kind": "cognate", "specialisation": name} if name in COGNATE else {"kind": name}
    if given.get("kind", named["kind"]) != named["kind"]:
        given = {}  # widths of another kind
    run["model"] = {**given, **named}


def _data(run: dict[str, Any], options: argparse.Namespace, schema: Any) -> None:
    """``--data``: a source by name, or the person's own files in place of what the recipe has."""
    data: str | None = options.data
    if data is None:
        run.setdefault("data", {})
        return
    sources = ("generated",) if options.model in COGNATE else ("twin", "text")
    if data in sources:
        if run.get("data", {}).get("source", sources[0]) != data:
            run["data"] = {"source": data}
        return
    path = Path(data)
    if not path.exists():
        raise InputError("--data", f"{data}: no such file or folder", fix=nearest(data, sources))
    if options.model in COGNATE:
        run.update(schema.data_at(path, run))
    else:
        run["data"] = {"path": data}


def _loss(run: dict[str, Any], options: argparse.Namespace, trainer: str) -> None:
    """The weights of ``--lambda-...``; those that are 0 are left out, because they are not computed."""
    given = {term: getattr(options, f"lambda_{term}") for term in LAMBDAS}
    asked = {term: weight for term, weight in given.items() if weight is not None}
    if trainer == "language":
        if asked:
            flag = "--lambda-" + next(iter(asked)).partition("_")[0]
            raise InputError(flag, "is a loss term of vector models", fix="Use --set loss.ponder=0.01.")
        return
    weights = {**(run.get("loss") or LAMBDAS), **asked}
    run["loss"] = {term: weight for term, weight in weights.items() if weight > 0}


def _epochs(run: dict[str, Any], epochs: int) -> None:
    """As many epochs: the curriculum keeps its first stages, and the last of them takes what is left over."""
    run["epochs"] = epochs
    kept, left = [], epochs
    for stage in run.get("curriculum") or ():
        if left > 0:
            kept.append({**stage, "epochs": min(stage["epochs"], left)})
            left -= kept[-1]["epochs"]
    if kept:
        kept[-1]["epochs"] += left
        run["curriculum"] = kept


def _quick(run: dict[str, Any], trainer: str) -> None:
    """Little data, to see in seconds that everything works."""
    data = run["data"]
    if data.get("source", "path" if "path" in data else None) in ("path", "text", "qa", "jsonl", "hub"):
        raise InputError("--test", "expected generated data, which it makes fewer of, got files")
    run.pop("warmup_steps", None)  # of more steps than there are
    data |= QUICK[trainer] | ({"val_records": 60} if "val_records" in data else {})


def _set(run: dict[str, Any], assignment: str) -> None:
    """``KEY=VALUE`` with a dotted key below [run] and a value as in TOML; bare words are strings."""
    key, sign, text = assignment.partition("=")
    parts = key.strip().split(".")
    if not sign or not all(parts):
        raise InputError("--set", f"expected KEY=VALUE, got {assignment!r}", fix="As in --set model.d_model=64.")
    try:
        value: object = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table: Any = run
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, Mapping):
            raise InputError("--set", f"{part!r} is no table", key=key)
    table[parts[-1]] = value
