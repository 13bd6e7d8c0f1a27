"""The folder of runs, caches and locks: its disk, its sizes, unfinished runs, and git."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lvmcheck.commands.doctor.item import Item, size
from lvmcheck.errors import several
from lvmcheck.launch.locks import is_free, run_lock
from lvmcheck.run.directory import DONE, INFO

LOW, MANY = 1e9, 200_000
"""Free bytes below which a run may not end, and files after which counting stops."""
REVISIONS = "revisions"


def runs_folder(root: Path, folder: Path) -> Iterator[Item]:
    """The state of ``folder`` (``.lvmcheck``) and of the git repository at ``root``."""
    yield _disk(folder)
    if folder.is_dir():
        for part in ("runs", "cache", REVISIONS):
            if (folder / part).is_dir():
                yield Item(group="runs", name=part, value=_total(folder / part))
        yield _unfinished(folder / "runs")
    yield from _git(root, folder)


def _disk(folder: Path) -> Item:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    value = f"{os.path.relpath(folder)}, {size(free)} free"
    if not os.access(existing, os.W_OK) or not existing.is_dir():
        problem, fix = f"{os.path.relpath(existing)} is not a writable folder", "--lvm-dir PATH"
        return Item(group="runs", name="folder", value=value, problem=problem, fix=fix, spoils=True)
    if free < LOW:
        problem = f"less than {size(LOW)} free: a run may end with a full disk"
        return Item(
            group="runs", name="folder", value=value, problem=problem, fix="free some, or --lvm-dir PATH", spoils=True
        )
    return Item(group="runs", name="folder", value=value)


def _total(folder: Path) -> str:
    """``1.2 GB in 340 files``; at least so much where there are too many."""
    count, total = 0, 0
    for path, _, names in os.walk(folder):
        for name in names:
            count += 1
            try:
                total += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118 - pathlib is slow here
            except OSError:
                continue
        if count > MANY:
            return f"more than {size(total)} in more than {count:,} files"
    return f"{size(total)} in {count:,} files"


def _unfinished(runs: Path) -> Item:
    """Runs that began, have not ended and are not running."""
    folders = [path.parent for path in runs.rglob(INFO)]
    open_ones = [folder for folder in folders if not (folder / DONE).exists()]
    stale = [folder for folder in open_ones if not _is_running(folder)]
    value = f"{len(folders)} runs: {len(folders) - len(open_ones)} ended, {len(open_ones) - len(stale)} running"
    if not stale:
        return Item(group="runs", name="runs ended", value=value)
    shown = several([os.path.relpath(folder) for folder in stale], 3)
    problem = f"{len(stale)} began and are not running: {shown}"
    fix = "the next pytest that needs them resumes from their checkpoint; or delete those folders"
    return Item(group="runs", name="runs ended", value=value, problem=problem, fix=fix)


def _is_running(folder: Path) -> bool:
    lock = Path(run_lock(folder))
    return lock.exists() and not is_free(lock)  # a lock that is not there must not be made by looking


def _git(root: Path, folder: Path) -> Iterator[Item]:
    sha = _git_output(root, "rev-parse", "--short=12", "HEAD")
    if sha is None:
        fix = "git init, and commit: comparing and bisecting need revisions"
        yield Item(group="git", name="repository", value="none here, or no commit yet", fix=fix)
        return
    changed = len((_git_output(root, "status", "--porcelain") or "").splitlines())
    value = f"{sha}, " + (f"{changed} files changed or not tracked" if changed else "nothing changed")
    yield Item(group="git", name="revision", value=value)
    listed = (_git_output(root, "worktree", "list", "--porcelain") or "").splitlines()
    trees = [line.removeprefix("worktree ") for line in listed if line.startswith("worktree ")]
    below = str((folder / REVISIONS).resolve())
    leftover = [tree for tree in trees if tree.startswith(below)]
    if leftover or any(line.startswith("prunable") for line in listed):
        problem = f"{len(leftover) or 'some'} worktrees of `lvmcheck compare` were not removed"
        fix = "if no compare is running: git worktree prune; git worktree remove --force PATH"
        yield Item(group="git", name="worktrees", value=f"{len(trees)} in all", problem=problem, fix=fix)


def _git_output(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
