"""Which files this process has imported, each with the hash that git gives its content: what a gate compares."""

from __future__ import annotations

import hashlib
import marshal
import sys
import sysconfig
from collections.abc import Container, Iterable
from pathlib import Path

NONCE = "LVMCHECK_NONCE"
"""Environment variable by which a gate marks the sessions that it will judge (``python ci/gate.py start``)."""
COMPILED = ("torchinductor_", ".triton")
"""Beginnings of folder names that hold compiled kernels."""
OWN = Path(__file__).parents[1]
INSTALLED = tuple(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib", "stdlib", "platstdlib"))


def blob_hash(path: Path) -> str:
    """``git hash-object``; empty for what cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def executed(root: Path, *, outside: bool, bytecode: bool = False, but: Container[str] = ()) -> dict[str, str]:
    """Absolute path -> hash of every imported file below ``root`` that is not installed.

    Args:
        outside: also those that lie elsewhere; lvmcheck itself counts only below ``root``.
        but: modules that are left out, by name.
        bytecode: also look whether compiled files are those of their sources; one that is not has its own hash.
    """
    loaded = [module for name, module in list(sys.modules.items()) if name not in but]
    files = {Path(file): module for module in loaded if (file := _file(module))}
    found = {str(path): blob_hash(path) for path in sorted(files) if _counts(path, root, outside=outside)}
    if bytecode:
        cached = {path: getattr(files[Path(path)], "__cached__", None) for path in found}
        found |= {path: blob_hash(Path(pyc)) for path, pyc in cached.items() if pyc and not _is_of(pyc, path)}
    return found


def _is_of(pyc: str, source: str) -> bool:
    """Whether a compiled file holds the code of its source; one that is not there was not used."""
    try:
        content = Path(pyc).read_bytes()
    except OSError:
        return True
    try:
        return bool(
            marshal.loads(content[16:]) == compile(Path(source).read_bytes(), source, "exec", dont_inherit=True)
        )
    except (OSError, ValueError, TypeError, EOFError, SyntaxError):
        return False


def hashes(paths: Iterable[Path]) -> dict[str, str]:
    return {str(path.absolute()): blob_hash(path) for path in paths if path.is_file()}


def _file(module: object) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and Path(file).is_absolute() else None


def _counts(path: Path, root: Path, *, outside: bool) -> bool:
    if any(path.is_relative_to(place) for place in INSTALLED):
        return False
    if path.is_relative_to(root):
        return True
    return outside and not path.is_relative_to(OWN) and not any(f"/{mark}" in path.as_posix() for mark in COMPILED)
