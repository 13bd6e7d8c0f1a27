"""``manifest.json`` of a checkpoint: sizes and sha256 of its files, and of itself; what was changed or lost since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
MAX_MANIFEST = 4 << 20
"""Bytes of a manifest that are read."""


def damage(checkpoint: Path, *, manifest: bool = False) -> str | None:
    """What was changed or lost since a checkpoint was published, by the sizes and digests in its ``manifest.json``.

    Args:
        manifest: whether it must have one; a checkpoint without, as other trainers write them, is taken as it is.
    """
    place = checkpoint / MANIFEST
    if not place.is_file():
        return f"it has no {MANIFEST}" if manifest else None
    try:
        with place.open("rb") as file:
            raw = file.read(MAX_MANIFEST)
        whole = json.loads(raw)
        said = {name: value for name, value in whole.items() if name != "sha256"}
        files, digest = said["files"], hashlib.sha256(_canonical(said)).hexdigest()
        if _canonical(whole) != raw or digest != whole["sha256"]:
            return f"{MANIFEST} does not match its own sha256"
        changed = (_changed(checkpoint / Path(name).name, entry) for name, entry in files.items())
        return next(filter(None, changed), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} cannot be read"


def _canonical(value: object) -> bytes:
    """The only spelling of a manifest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _changed(path: Path, entry: Mapping[str, Any]) -> str | None:
    """How a file differs from what the manifest says of it."""
    size = path.stat().st_size if path.is_file() else None
    if size != entry["bytes"]:
        return f"{path.name}: expected {entry['bytes']:,} bytes, got {'none' if size is None else f'{size:,}'}"
    with path.open("rb") as content:
        same = hashlib.file_digest(content, "sha256").hexdigest() == entry["sha256"]
    return None if same else f"{path.name} does not match the sha256 in its manifest"
