"""Runs of a suite at a git revision: the suite is trained in a worktree of its own, with that revision's code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lvmcheck.comparison.sides import Side, repeats
from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from lvmcheck.run.alike import distinct
from lvmcheck.run.directory import INFO
from lvmcheck.run.view import Run

HOME = Path(".lvmcheck") / "revisions"


def side_at(revision: str, suite: Path, *, seeds: str | None = None, profile: str | None = None) -> Side:
    """The suite's runs at a revision; those that were trained before are used again.

    Args:
        suite: folder or file of the suite, relative to the repository's root or the working directory.

    Raises:
        InputError: no such revision, no such suite there, or its training failed.
    """
    root = Path(_git(Path.cwd(), "rev-parse", "--show-toplevel", what="a git repository"))
    sha = _git(root, "rev-parse", "--verify", f"{revision}^{{commit}}", what=f"a revision, got {revision!r}")
    inside = _inside(root, suite)
    home = root / HOME / sha[:12]
    tree = home / "tree"
    if not tree.is_dir():
        _git(root, "worktree", "add", "--detach", "--force", str(tree), sha, what=f"a worktree of {revision}")
    try:
        if not (tree / inside).exists():
            raise InputError(revision, f"has no {inside.as_posix()}")
        _train(tree, inside, home, seeds, profile)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=root, capture_output=True, check=False)
    found = _runs(home, suite_of(inside))
    if not found:
        log = os.path.relpath(home / "pytest.log")
        raise InputError(revision, f"no run of {inside.as_posix()} was finished there", fix=f"See {log}.")
    return Side(f"{revision} ({sha[:12]})", found[0], distinct(repeats(found[0])))


def suite_of(inside: Path) -> str:
    """Name of the suite in a folder of the repository, as its runs are called."""
    folder = inside.parent if inside.suffix == ".toml" else inside
    parts = folder.parts
    return "/".join(parts[parts.index("suites") + 1 :] if "suites" in parts else parts[-1:])


def _inside(root: Path, suite: Path) -> Path:
    for place in (Path.cwd() / suite, root / suite):
        if place.exists() and place.resolve().is_relative_to(root.resolve()):
            return place.resolve().relative_to(root.resolve())
    return suite


def _train(tree: Path, inside: Path, home: Path, seeds: str | None, profile: str | None) -> None:
    # Joined by "=": pytest takes a path that stands alone for one of those it finds the root directory from.
    words = [sys.executable, "-m", "pytest", str(inside), f"--lvm-dir={home}", "-p", "no:cacheprovider"]
    words += ["--lvm-seeds", seeds] if seeds else []
    words += ["--lvm-profile", profile] if profile else []
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    with (home / "pytest.log").open("wb") as log:
        done = subprocess.run(words, cwd=tree, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode not in (0, 1):
        tail = (home / "pytest.log").read_text(errors="replace").strip().splitlines()[-1:]
        fix = f"See {os.path.relpath(home / 'pytest.log')}."
        raise InputError(str(inside), f"pytest ended with {done.returncode}: {' '.join(tail)[:200]}", fix=fix)


def _runs(home: Path, suite: str) -> list[Run]:
    """Finished runs of the suite below a home, the newest first."""
    folders = [path.parent for path in (home / "runs" / suite).glob(f"*/{INFO}")]
    found = [open_run(folder, kind="run_directory") for folder in folders]
    ended = [run for run in found if run.finished]
    return sorted(ended, key=lambda run: str(run.info.get("created")), reverse=True)


def _git(folder: Path, *words: str, what: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError("git", "expected git, got nothing: it is not installed") from None
    if done.returncode:
        error = (done.stderr.strip().splitlines() or [""])[-1]
        fix = "Run it in the repository of the suite." if "not a git repository" in error else None
        raise InputError("git", f"expected {what} ({error[:200]})", fix=fix)
    return done.stdout.strip()
