"""The seal of a completion record: one digest over how the run ended, its ``run.json``, its events and checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck.run.regular_file import small_file

SEAL, INFO_DIGEST, MANIFESTS = "seal", "run_json", "checkpoints"
FOLDER, MANIFEST = "checkpoints", "manifest.json"


def sealed(body: Mapping[str, Any], folder: Path, info: str) -> dict[str, Any]:
    """The record with digests of ``info`` (the file beside it) and of every checkpoint's manifest, and its own."""
    whole = {**body, INFO_DIGEST: digest(folder / info), MANIFESTS: manifests(folder)}
    return {**whole, SEAL: _seal(whole)}


def broken_seal(record: Mapping[str, Any], folder: Path, info: str) -> str | None:
    """What was changed since the record was sealed; None where nothing was, or where it never was sealed."""
    if SEAL not in record:
        return "the completion record has lost its seal" if INFO_DIGEST in record else None
    whole = {name: value for name, value in record.items() if name != SEAL}
    if _seal(whole) != record[SEAL]:
        return "the completion record does not match its seal"
    if whole.get(INFO_DIGEST) != digest(folder / info):
        return f"{info} was changed after the run had ended"
    known, now = whole.get(MANIFESTS), manifests(folder)
    if not isinstance(known, dict):
        return "the completion record does not list its checkpoints"
    return next((f"checkpoint {name} was changed" for name, value in now.items() if known.get(name) != value), None)


def manifests(folder: Path) -> dict[str, str]:
    """Name of each checkpoint that has a manifest -> digest of it; the manifest holds those of its files."""
    return {path.parent.name: digest(path) for path in sorted(folder.glob(f"{FOLDER}/*/{MANIFEST}"))}


def digest(path: Path) -> str:
    """sha256 of a small file; empty where it cannot be read."""
    try:
        return hashlib.sha256(small_file(path)).hexdigest()
    except OSError:
        return ""


def _seal(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
