"""The key of a run: equal keys promise equal numbers, so a finished run may be reused."""

from __future__ import annotations

import hashlib
import json
import locale
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lvmcheck.errors import InputError
from lvmcheck.launch.source import source_digest
from lvmcheck.run.directory import write_json
from lvmcheck.run.regular_file import open_regular, read_json

BLOCK = 1 << 20
LIBRARIES = ("torch", "numpy")


def run_key(
    trainer: str,
    config: Mapping[str, Any],
    seed: int,
    *,
    device: str,
    inputs: Iterable[Path],
    cache: Path,
    environment: Mapping[str, str],
    ranks: int = 1,
) -> dict[str, Any]:
    """Everything that decides a run's numbers, and ``key``, the sha256 over it.

    Args:
        trainer: ``package.module:function``; two functions of one module are two trainers.
        config: the merged ``[run]`` table as the trainer receives it.
        device: device kind the run is expected on.
        inputs: files whose content is input (data).
        environment: digests of the environment variables that a trainer sees and that may decide its numbers.
        ranks: processes that train together; sums over them round differently.
        cache: where content hashes of unchanged files are remembered.
    """
    parts = {
        "trainer": trainer,
        "config": dict(config),
        "seed": seed,
        "source": source_digest(trainer.partition(":")[0]),
        "inputs": {str(path): file_digest(path, cache) for path in sorted(inputs)},
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in LIBRARIES}},
        "device": device,
        "environment": dict(environment),
        "machine": platform.machine(),
        **({"ranks": ranks} if ranks > 1 else {}),
        **({"encoding": encoding} if (encoding := locale.getpreferredencoding(False).lower()) != "utf-8" else {}),
    }
    canonical = json.dumps(parts, sort_keys=True, default=str)
    return {**parts, "key": hashlib.sha256(canonical.encode()).hexdigest()}


def version_of(distribution: str) -> str:
    """Installed version, without importing the library."""
    from importlib import metadata  # it brings email, and every trainer imports this file

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def file_digest(path: Path, cache: Path) -> str:
    """sha256 of a file's content, remembered under size, both times and inode (a changed content changes ctime)."""
    try:
        stat = path.stat()
    except OSError as problem:
        raise InputError(path, f"cannot be read: {problem.strerror or problem}") from None
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
    stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    remembered = cache / f"{name}.json"
    known = read_json(remembered)
    if known is not None and known.get("stamp") == stamp:
        return str(known["sha256"])
    try:
        with open_regular(path) as file:
            digest = _sha256(file, os.fstat(file.fileno()).st_size)
    except OSError as problem:
        raise InputError(path, f"cannot be read: {problem.strerror or problem}") from None
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return digest  # an unwritable place is reported when the run directory is made
    write_json(remembered, {"path": str(path), "stamp": stamp, "sha256": digest})
    return digest


def _sha256(file: BinaryIO, size: int) -> str:
    """Of what was there when it was opened: a file that grows for ever is not followed."""
    found = hashlib.sha256()
    for start in range(0, size, BLOCK):
        found.update(file.read(min(BLOCK, size - start)))
    return found.hexdigest()
