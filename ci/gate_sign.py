"""Signs reports with a key of the runner's own, after the session and where the judged code cannot read it.

    python ci/gate.py sign REPORT.json ... --key FILE       # a step after pytest; writes REPORT.json.sig
    python ci/gate.py REPORT.json ... --key FILE            # here or on another machine: refuses what is not signed

The signature is an HMAC (SHA-256) over the bytes of the file: who can check it can make it, so both steps are the
owner's. It shows that a report is the one that lay there when the step signed it, not that the session was honest.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import sys
from collections.abc import Sequence
from pathlib import Path

from gate_finding import Reason, Refused, Unusable
from gate_git import tracked_path

LEAST, MOST, LARGEST = 32, 4096, 16 << 20
"""Bytes of a key, and of a report."""
END = ".sig"


def read_key(path: Path) -> bytes:
    """The key in a file of the runner's.

    Raises:
        Unusable: it cannot be read, is too short, or lies where the judged code, or anybody, may read it.
    """
    try:
        key, mode = bounded(path, MOST).strip(), path.stat().st_mode
    except OSError as problem:
        raise Unusable(f"the key {path}: cannot be read: {problem.strerror}") from None
    except Refused as problem:
        raise Unusable(f"the key {problem}") from None
    if len(key) < LEAST:
        raise Unusable(f"the key {path}: expected at least {LEAST} bytes, got {len(key)}")
    if mode & 0o077:
        raise Unusable(f"the key {path}: others than its owner may read it: chmod 600")
    if tracked_path(path) is not None:
        raise Unusable(f"the key {path}: lies in the checkout, where the judged code finds it: keep it elsewhere")
    return key


def bounded(path: Path, most: int) -> bytes:
    from gate_files import read_bounded  # which asks here whether a report is signed

    return read_bounded(path, most)


def signature(key: bytes, raw: bytes) -> str:
    return hmac.new(key, raw, hashlib.sha256).hexdigest()


def signed(path: Path, raw: bytes, key: bytes | None) -> None:
    """Hold the content of a report against its signature, where the gate has a key.

    Raises:
        Refused: there is none, or it is of another content or key.
    """
    if key is None:
        return
    try:
        said = bounded(path.with_name(path.name + END), MOST).strip()
    except OSError as problem:
        raise Refused(Reason("not_signed", str(path), got=problem.strerror)) from None
    if not hmac.compare_digest(said, signature(key, raw).encode()):
        raise Refused(Reason("signature_differs", str(path)))


def sign(arguments: Sequence[str]) -> int:
    """Sign reports: write the signature of each beside it."""
    parser = argparse.ArgumentParser(prog="gate.py sign", description="sign reports with the runner's key")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="outside the checkout, mode 600")
    options = parser.parse_args(arguments)
    try:
        key = read_key(options.key)
        for path in options.reports:
            path.with_name(path.name + END).write_text(signature(key, bounded(path, LARGEST)) + "\n")
    except (Unusable, Refused, OSError) as problem:
        print(f"gate: {problem} [unusable]", file=sys.stderr)
        return 2
    return 0
