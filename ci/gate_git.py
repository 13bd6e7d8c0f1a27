"""What the gate asks git: the tree of a commit and files in it, never the state of a working directory."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gate_finding import Unusable

LIMIT = 20.0
MAX_BLOB = 64 << 20
LFS = b"version https://git-lfs.github.com/spec/"
LINK, SUBMODULE = "120000", "160000"
ISOLATED = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}


def git(*words: str, folder: Path | None = None, told: bytes = b"") -> bytes | None:
    """Output of git; None when it failed. Variables that point it elsewhere are not seen."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *words],
            input=told or b"",
            cwd=folder,
            env=environment | ISOLATED,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def resolved(name: str) -> str | None:
    """The commit of a name."""
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return found.decode().strip() if found else None


def is_named_so(name: str, kind: str, raw: bytes) -> bool:
    """Whether an object has the content that its name is the hash of; git itself believes the file it stands in."""
    make = hashlib.sha256 if len(name) == 64 else hashlib.sha1
    return make(f"{kind} {len(raw)}\0".encode() + raw, usedforsecurity=False).hexdigest() == name


def proved(name: str, kind: str, raw: bytes) -> bytes:
    """The content of an object.

    Raises:
        Unusable: it is not what its name says.
    """
    if not is_named_so(name, kind, raw):
        raise Unusable(f"the {kind} {name} of this repository does not have the content of its name: it was forged")
    return raw


@dataclass
class Tree:
    """The files of one commit: path -> mode and hash."""

    commit: str
    entries: dict[str, tuple[str, str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        listed, name = git("ls-tree", "-r", "-z", "--full-tree", self.commit), resolved(self.commit)
        if listed is None or name is None:
            raise Unusable(f"{self.commit[:40]!r} is no commit of this repository: fetch it first")
        self._prove(name)
        self.entries = {}
        for line in listed.decode("utf-8", "surrogateescape").split("\0"):
            if line:
                head, _, path = line.partition("\t")
                mode, _, blob = head.split(" ")
                self.entries[path] = (mode, blob)

    def _prove(self, commit: str) -> None:
        """Hold the commit and all of its folders against their names.

        Raises:
            Unusable: one is not what its name says.
        """
        first = proved(commit, "commit", git("cat-file", "commit", commit) or b"").split(b"\n")[0]
        listed = (git("ls-tree", "-r", "-d", "-z", "--full-tree", commit) or b"").decode("utf-8", "surrogateescape")
        below = [line.split("\t")[0].split(" ") for line in listed.split("\0") if line]
        trees = {first.decode().split(" ")[-1], *(name for _, kind, name in below if kind == "tree")}
        for name, raw in batch(sorted(trees)):
            proved(name, "tree", raw)

    @cached_property
    def folders(self) -> set[str]:
        places = (path.split("/") for path in self.entries)
        return {"/".join(parts[:n]) for parts in places for n in range(1, len(parts))}

    def holds(self, path: str) -> bool:
        """Whether there is a file, a link or a submodule of that path, or below it."""
        return path in self.entries or path in self.folders

    def blob(self, path: str) -> str | None:
        """The hash of a regular file."""
        mode, blob = self.entries.get(path, ("", ""))
        return blob if mode.startswith("100") else None

    def read(self, path: str) -> bytes | None:
        """The content of a regular file; None where there is none."""
        blob = self.blob(path)
        if blob is None:
            return None
        size = git("cat-file", "-s", blob)
        if size is None or int(size) > MAX_BLOB:
            return None
        raw = git("cat-file", "blob", blob)
        return None if raw is None else proved(blob, "blob", raw)

    def target(self, path: str) -> str:
        """Where a link says that it leads; empty for what is none."""
        mode, blob = self.entries.get(path, ("", ""))
        raw = git("cat-file", "blob", blob) if mode == LINK else None
        return "" if raw is None else proved(blob, "blob", raw).decode("utf-8", "surrogateescape")

    def sha256(self, path: str) -> str | None:
        content = self.read(path)
        return None if content is None else hashlib.sha256(content).hexdigest()

    def digests(self, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Path -> sha256 of the content of each regular file, and of what stands for it in git LFS, by few calls."""
        blobs = {path: blob for path in paths if (blob := self.blob(path)) is not None}
        found = {blob: of_content(raw) for blob, raw in contents({*blobs.values()})}
        return {path: found.get(blob, ("too large",)) for path, blob in blobs.items()}

    def in_the_way(self, path: str) -> str | None:
        """The mode of a link or submodule at the path or above it."""
        parts = path.split("/")
        above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        found = (self.entries[place][0] for place in above if place in self.entries)
        return next((mode for mode in found if mode in (LINK, SUBMODULE)), None)


def contents(blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Each blob of a bounded size with its content, some at a time."""
    listed = "\n".join(sorted(blobs)).encode()
    sizes = (git("cat-file", "--batch-check", told=listed) or b"").decode().split("\n") if listed else []
    waiting, size = list[str](), 0
    for words in (line.split(" ") for line in [*sizes, ""]):
        if len(words) == 3 and int(words[2]) <= MAX_BLOB:
            waiting.append(words[0])
            size += int(words[2])
        if waiting and (size > MAX_BLOB or len(words) < 3):
            yield from batch(waiting)
            waiting, size = [], 0


def batch(blobs: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    raw, at = git("cat-file", "--batch", told="\n".join(blobs).encode()) or b"", 0
    while at < len(raw):
        end = raw.index(b"\n", at)
        name, kind, size = raw[at:end].decode().split(" ")
        yield name, proved(name, kind, raw[end + 1 : end + 1 + int(size)])
        at = end + 2 + int(size)


def of_content(raw: bytes) -> tuple[str, ...]:
    """sha256 of a content; that of the file that it stands for, too, where it is a pointer of git LFS."""
    own = hashlib.sha256(raw).hexdigest()
    named = re.findall(rb"^oid sha256:([0-9a-f]{64})$", raw, re.MULTILINE) if raw.startswith(LFS) else []
    return (own, *(oid.decode() for oid in named[:1]))


def tracked_path(path: Path) -> str | None:
    """A path of this working directory as the tree names it; None outside the repository."""
    top = git("rev-parse", "--show-toplevel")
    if not top:
        return None
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links are not followed
    root = Path(top.decode().rstrip("\n"))
    for place in (whole, whole.parent.resolve() / whole.name):
        if place.is_relative_to(root):
            return place.relative_to(root).as_posix()
    return None
