"""Checkpoints without pickle: safetensors, JSON, and a manifest whose sha256 covers every byte.

A checkpoint is a folder ``<name>-<number>`` that appears whole by one rename and is never changed afterwards:
``manifest.json`` (what it is, size and sha256 of the rest), ``weights.safetensors``, ``probe.safetensors`` (inputs
and the outputs that the saved model gave for them), of a language model ``tokenizer.json`` and, where training can
continue, ``state.safetensors`` and ``state.json``. Loading verifies the digests, the class, every shape and at last the
probe: weights of another class with the same names and shapes load silently everywhere else (history 6).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError
from models.checkpoints.atomic import sync_folder, write_durably, write_error
from models.checkpoints.state import TrainingState

FORMAT = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
MAX_MANIFEST = 4 << 20  # bytes
MAX_FILE = 16 << 30  # bytes
PROBE_TOLERANCE = 1e-3  # of the largest output, at least 1; another class differs by about 1, another device by 1e-6
_FOLDER = re.compile(r"(?P<name>[a-z]+)-(?P<number>\d{6,})")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a checkpoint is.

    Attributes:
        name: "best", "last" or "epoch".
        kind, params: what :func:`models.registry.build` needs to make the model again.
        architecture: digest of the class and of the name, shape and type of each tensor.
        epoch: epochs completed. step: optimizer steps done.
        config: the run's config; a run continues only from a checkpoint with an equal one.
        data: fingerprint of the data it was trained on.
        metrics: what was measured with these weights.
    """

    name: str
    kind: str
    params: Mapping[str, Any]
    architecture: str
    epoch: int
    step: int
    config: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory; ``probe`` holds ``input`` ([P, T, D], or tokens [P, T]) and ``output`` [P, D].

    ``tokenizer`` is that of a language model (:func:`models.data.text.tokenizer_files.unpacked`).
    """

    about: Description
    weights: Mapping[str, Tensor]
    probe: Mapping[str, Tensor]
    state: TrainingState | None = None
    path: Path | None = None
    tokenizer: bytes | None = None


def architecture(model: nn.Module) -> str:
    """sha256 over the class and the name, shape and type of each tensor: equal widths of one class, equal digest."""
    tensors = [(name, list(t.shape), str(t.dtype)) for name, t in sorted(model.state_dict().items())]
    text = json.dumps([type(model).__module__, type(model).__qualname__, tensors])
    return hashlib.sha256(text.encode()).hexdigest()


def first_non_finite(weights: Mapping[str, Tensor]) -> str | None:
    """The first tensor that holds NaN or infinity, with how many; None when all are finite."""
    for name, tensor in weights.items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            return f"{name}: {bad:,} of {tensor.numel():,} values are not finite"
    return None


def snapshot(
    model: nn.Module,
    probe: Tensor,
    about: Description,
    state: TrainingState | None = None,
    *,
    tokenizer: bytes | None = None,
) -> Checkpoint:
    """The model as it is now, copied to the CPU. ``probe`` is what :func:`outputs` takes; both are kept."""
    weights = {name: t.detach().cpu().clone().contiguous() for name, t in model.state_dict().items()}
    pair = {"input": probe.detach().cpu().clone().contiguous(), "output": outputs(model, probe).contiguous()}
    return Checkpoint(about, weights, pair, state, tokenizer=tokenizer)


def outputs(model: nn.Module, probe: Tensor) -> Tensor:
    """The model's predictions [P, D] in evaluation mode, on the CPU; its mode is left as it was.

    A vector model predicts from contexts [P, T, D]; of a language model, tokens [P, T], it is the logits that follow.
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        predictions = model(probe.to(next(model.parameters()).device))
        if not isinstance(predictions, Tensor):
            predictions = predictions.logits[:, -1]
    model.train(training)
    return torch.as_tensor(predictions).cpu().clone()


# -- writing -----------------------------------------------------------------------------------------------------------
def publish(folder: Path, checkpoint: Checkpoint, *, keep: int = 1, number: int | None = None) -> Path:
    """Writes the checkpoint below ``folder`` and returns its place; older ones of its name beyond ``keep`` are removed
    only after the new one is in place. Its ``number`` is by default the next one; one that is there is replaced.

    Raises:
        InputError: the disk is full or cannot be written (what was there is untouched), or weights that are not finite.
    """
    bad = first_non_finite(checkpoint.weights)
    if bad:
        raise InputError(f"checkpoint {checkpoint.about.name}", f"expected finite weights, got {bad}", key="weights")
    older = published(folder, checkpoint.about.name)
    if number is None:
        number = 1 + (int(older[-1].name.rpartition("-")[2]) if older else 0)
    target = folder / f"{checkpoint.about.name}-{number:06d}"
    temporary = folder / f".tmp-{target.name}-{os.getpid()}"
    files = _files(checkpoint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary.mkdir()
        for name, content in files.items():
            write_durably(temporary / name, content)
        sync_folder(temporary)
        if target.exists():  # a run that was resumed has come to this epoch again
            _remove(target)
        temporary.rename(target)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise write_error(target, error, sum(map(len, files.values()))) from None
    sync_folder(folder)
    older = [path for path in older if path != target]
    for old in older[: max(0, len(older) + 1 - keep)]:
        _remove(old)
    return target


def published(folder: Path, name: str) -> list[Path]:
    """The checkpoints of that name below ``folder``, oldest first; not verified."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if (match := _FOLDER.fullmatch(path.name)) and match["name"] == name]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _files(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Content of every file, the manifest last."""
    files = {
        "weights.safetensors": safetensors.torch.save(dict(checkpoint.weights), {"lvmcheck": _label(checkpoint.about)}),
        "probe.safetensors": safetensors.torch.save(dict(checkpoint.probe)),
    }
    if checkpoint.tokenizer is not None:
        files[TOKENIZER] = checkpoint.tokenizer
    if checkpoint.state is not None:
        files["state.safetensors"] = safetensors.torch.save(dict(checkpoint.state.tensors))
        files["state.json"] = canonical(checkpoint.state.values)
    digests = {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()}
    body = {"format": FORMAT, **asdict(checkpoint.about), "files": digests}
    files[MANIFEST] = canonical({**body, "sha256": sha256(canonical(body))})
    return files


def _label(about: Description) -> str:
    """What a weights file says of itself when it is copied out of its checkpoint."""
    names = ("name", "kind", "params", "architecture", "epoch", "step")
    return canonical({"format": FORMAT, **{key: getattr(about, key) for key in names}}).decode()


def _sweep(folder: Path) -> None:
    """Removes what a killed run left half written."""
    for left in folder.glob(".tmp-*"):
        shutil.rmtree(left, ignore_errors=True)


def _remove(old: Path) -> None:
    """Takes the final name away first, so that no folder of that name is ever partial."""
    away = old.with_name(f".tmp-{old.name}-old-{os.getpid()}")
    with contextlib.suppress(OSError):
        old.rename(away)
        shutil.rmtree(away, ignore_errors=True)


def canonical(value: object) -> bytes:
    """One line of JSON, the same bytes for the same value; NaN and infinities in Python's spelling."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
