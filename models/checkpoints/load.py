"""Reading checkpoints: every byte verified before it is used, and the model proved to be the one that was saved."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lvmcheck.errors import InputError
from models import registry
from models.checkpoints.checkpoint import (
    FORMAT,
    MANIFEST,
    MAX_FILE,
    MAX_MANIFEST,
    PROBE_TOLERANCE,
    TOKENIZER,
    Checkpoint,
    Description,
    architecture,
    canonical,
    first_non_finite,
    outputs,
    published,
    sha256,
)
from models.checkpoints.state import TrainingState

REQUIRED = ("weights.safetensors", "probe.safetensors")
PAIR = ("input", "output")  # tensors of the probe
STATE = ("state.safetensors", "state.json")
_CORRUPT = "Delete it and use an older one, or train again."
_KINDS: Mapping[type, str] = {str: "a string", int: "an integer", Mapping: "an object"}


def read(path: Path) -> Checkpoint:
    """A published checkpoint, each file hashed and parsed from the same bytes. Runs nothing that is in it.

    Raises:
        InputError: not a checkpoint, another format version, changed or missing files, or unreadable content.
    """
    manifest = _manifest(path)
    files = manifest["files"]
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise InputError(path / MANIFEST, f"expected the file {missing[0]}, got {sorted(files)}", key="files")
    blobs = {name: _verified(path / name, files[name]) for name in (*REQUIRED, TOKENIZER, *STATE) if name in files}
    state = None
    if all(name in blobs for name in STATE):
        state = TrainingState(_tensors(path / STATE[0], blobs[STATE[0]]), _object(path / STATE[1], blobs[STATE[1]]))
    weights, probe = (_tensors(path / name, blobs[name]) for name in REQUIRED)
    for name in PAIR:
        if name not in probe or not probe[name].numel():
            got = "an empty one" if name in probe else f"{sorted(probe)}"
            raise InputError(path / REQUIRED[1], f"expected a tensor with rows, got {got}", key=name)
    about = Description(**{f.name: manifest[f.name] for f in fields(Description)})
    return Checkpoint(about, weights, probe, state, path, blobs.get(TOKENIZER))


def newest(folder: Path, name: str) -> tuple[Checkpoint | None, list[InputError]]:
    """The newest checkpoint of that name that can be read, and what was wrong with the newer ones."""
    refused: list[InputError] = []
    for path in reversed(published(folder, name)):
        try:
            return read(path), refused
        except InputError as error:
            refused.append(error)
    return None, refused


class NoInit(TorchFunctionMode):
    """Inside, ``torch.nn.init`` fills nothing: without memory that would import torch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return (kwargs or {}).get("tensor", *args[:1])
        return func(*args, **(kwargs or {}))


def load_model(path: Path, device: torch.device | str = "cpu") -> tuple[nn.Module, Checkpoint]:
    """A model made afresh from a checkpoint, in evaluation mode; leaves torch's random state as it was.

    Raises:
        InputError: as :func:`read` and :func:`restore`, or a kind or parameter that does not exist here.
    """
    checkpoint = read(path)
    about = checkpoint.about
    registry.check_parameters(about.kind, about.params)
    with torch.device("meta"), NoInit():  # shapes only: a manifest that asks for a giant must not get the memory
        blueprint = registry.build(about.kind, **about.params)
    _compare(path, blueprint, checkpoint)
    with torch.random.fork_rng(devices=[]):
        model = registry.build(about.kind, **about.params).to(device)
    restore(model, checkpoint)
    return model.eval(), checkpoint


def restore(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Puts the checkpoint's weights into ``model``, which must be of the same class and widths.

    Raises:
        InputError: another class, other tensors or shapes, weights that are not finite, or outputs on the probe that
            differ from those that the saved model gave.
    """
    where = checkpoint.path or f"checkpoint {checkpoint.about.name}"
    _compare(where, model, checkpoint)
    for what, tensors in (("weights", checkpoint.weights), ("probe", checkpoint.probe)):
        bad = first_non_finite(tensors)
        if bad:
            raise InputError(where, f"expected finite {what}, got {bad}", key=what)
    model.load_state_dict(dict(checkpoint.weights))
    expected = checkpoint.probe["output"]
    try:
        got = outputs(model, checkpoint.probe["input"])
    except (InputError, RuntimeError, IndexError, TypeError) as error:
        reason = error.problem if isinstance(error, InputError) else str(error).partition("\n")[0]
        raise InputError(where, f"the model cannot take the probe's input: {reason}", key="probe.input") from None
    difference = float((got - expected).abs().max()) if got.shape == expected.shape else float("inf")
    if not difference <= PROBE_TOLERANCE * max(1.0, float(expected.abs().max())):
        raise InputError(
            where,
            f"expected the outputs that the saved model gave, got others: they differ by {difference:.3g}",
            key="probe",
            fix="The model's code has changed since, or these are weights of another class.",
        )


def _compare(where: Path | str, model: nn.Module, checkpoint: Checkpoint) -> None:
    """Class and tensors of ``model`` against those of the checkpoint."""
    expected = {name: (tuple(t.shape), t.dtype) for name, t in model.state_dict().items()}
    got = {name: (tuple(t.shape), t.dtype) for name, t in checkpoint.weights.items()}
    wrong = [
        f"{name} expected {_shape(expected.get(name))}, got {_shape(got.get(name))}"
        for name in (*expected, *(name for name in got if name not in expected))
        if expected.get(name) != got.get(name)
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(where, f"tensors of another model: {'; '.join(wrong[:3])}{more}", key="weights")
    if architecture(model) != checkpoint.about.architecture:
        mine = type(model).__qualname__
        raise InputError(
            where,
            f"expected weights of {mine}, got those of another class saved as kind {checkpoint.about.kind!r}",
            key="architecture",
        )


def _shape(tensor: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "none" if tensor is None else f"{list(tensor[0])} {str(tensor[1]).removeprefix('torch.')}"


# -- bytes -------------------------------------------------------------------------------------------------------------
def _manifest(path: Path) -> dict[str, Any]:
    manifest = path / MANIFEST
    if not manifest.is_file():
        kind = "a folder without it" if path.is_dir() else "no such folder"
        raise InputError(path, f"expected a checkpoint with a {MANIFEST}, got {kind}")
    raw = read_file(manifest, MAX_MANIFEST)
    try:
        body = json.loads(raw)
        claimed = body.pop("sha256")
        whole = canonical({**body, "sha256": claimed}) == raw and claimed == sha256(canonical(body))
        version, files = body["format"], body["files"]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        whole, version, files = False, FORMAT, {}
    if not whole:
        raise InputError(manifest, "does not match its own sha256: it was changed or cut off", fix=_CORRUPT)
    if version != FORMAT:
        raise InputError(manifest, f"expected format {FORMAT}, got {version!r}", key="format")
    hints: dict[str, Any] = {**get_type_hints(Description), "files": Mapping[str, Any]}
    for key, hint in hints.items():
        _need(manifest, key, body.get(key), get_origin(hint) or hint)
    for name, entry in files.items():
        _need(manifest, f"files.{name}", entry, Mapping)
        _need(manifest, f"files.{name}.bytes", entry.get("bytes"), int)
        _need(manifest, f"files.{name}.sha256", entry.get("sha256"), str)
    return dict(body)


def _need(path: Path, key: str, value: object, kind: type) -> None:
    """Raises InputError when a value of a JSON file is missing or not of that kind; truth values are no integers."""
    if not isinstance(value, kind) or isinstance(value, bool):
        got = "none" if value is None else f"{value!r:.60}"
        raise InputError(path, f"expected {_KINDS[kind]}, got {got}", key=key)


def _verified(path: Path, entry: Mapping[str, Any]) -> bytes:
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        raise InputError(path, "expected a file, got none", fix=_CORRUPT)
    if size != entry["bytes"]:
        raise InputError(path, f"expected {entry['bytes']:,} bytes, got {size:,}: changed or cut off", fix=_CORRUPT)
    data = read_file(path, MAX_FILE)
    if sha256(data) != entry["sha256"]:
        raise InputError(path, "does not match the sha256 in its manifest: it was changed", fix=_CORRUPT)
    return data


def read_file(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most ``limit`` bytes; links are not followed.

    Raises:
        InputError: it cannot be read or is larger.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            size = os.fstat(handle).st_size
            if size > limit:
                raise InputError(path, f"expected at most {limit:,} bytes, got {size:,}")
            return file.read(limit)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or error}") from None


def _object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(path, "expected a JSON object, got something else", fix=_CORRUPT)
    return value


def _tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(path, f"expected safetensors, got something else ({error})") from None
