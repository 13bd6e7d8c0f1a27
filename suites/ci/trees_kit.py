"""Commits without a repository, and a suite and requirements to put into them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from typing import Any

from suites.ci.gate_kit import SUITE, scripts

scripts()
base, git, tree, finding = (sys.modules[f"gate_{name}"] for name in ("base", "git", "tree", "finding"))
LINK, SUBMODULE = "120000", "160000"
TEXT = """
[suite]
about = "toy"
checks = 3

[run]
trainer = "mine:train"
epochs = 4
seeds = [0, 1]
lr = 0.1

[profile.smoke]
epochs = 2

[[check]]
check = "cosine_floor"
metric = "val_cosine"
epoch = 1
floor = 0.5

[[check]]
check = "metric"
metric = "val_loss"
ceiling = 2.0
source = "a paper"

[[check]]
check = "finite"
profiles = ["smoke"]
"""
REQUIRED = f"""
[gate]
max_age_hours = 24
opens = ["a/*"]

[[suite]]
file = "{SUITE}"
profile = "smoke"
device = "cpu"
seeds = 2
checks = 3
"""
RULES: dict[str, Any] = {
    "suite": [{"file": SUITE, "profile": "smoke", "seeds": 2, "checks": 3}],
    "protected": ["data/*.json"],
    "opens": ["logs/*"],
}
FILES = {SUITE: TEXT, "gate.toml": REQUIRED, "mine.py": "x", "data/a.json": "1", "own.py": "", "pyproject.toml": ""}
OWN = '[[check]]\ncheck = "own:Check"\n'


class Files(git.Tree):  # type: ignore[name-defined, misc]
    """A commit whose files are given, without a repository."""

    def __init__(self, files: dict[str, str], modes: dict[str, str] | None = None) -> None:
        self.commit, self.files = "c" * 40, files
        blobs = {path: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for path, text in files.items()}
        self.entries = {path: ((modes or {}).get(path, "100644"), blob) for path, blob in blobs.items()}

    def target(self, path: str) -> str:
        return self.files[path] if self.entries.get(path, ("",))[0] == LINK else ""

    def read(self, path: str) -> bytes | None:
        return self.files[path].encode() if self.blob(path) is not None else None

    def digests(self, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {path: git.of_content(raw) for path in paths if (raw := self.read(path)) is not None}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def said(reasons: Any) -> list[tuple[str, str]]:
    return [(reason.code, reason.subject) for reason in reasons]
