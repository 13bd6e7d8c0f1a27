"""Writes what ``lvmcheck init`` has drafted: a suite, pytest's settings, and a workflow with its gate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tomli

from lvmcheck.commands.init.draft import EXAMPLE, Draft
from lvmcheck.commands.init.workflow import (
    COMMIT,
    DEVICE,
    GPU_RULES,
    GPU_WORKFLOW,
    RULES,
    SCRIPTS,
    WORKFLOW,
    Rule,
    gpu_files,
    workflow_files,
)
from lvmcheck.commands.init.write import PYTEST_INI, finds_modules, pytest_config, write_files
from lvmcheck.launch.home import USUAL, make_home
from lvmcheck.suite import load_suite

SUITES = "suites"


@dataclass(frozen=True)
class Made:
    """What was written.

    Attributes:
        suite: its file. files: what was written. checks: how many the suite has. left: as in the draft.
        todo: what the person has to do. shown: paths of the runs that its bounds come from.
    """

    suite: Path | None
    files: tuple[Path, ...]
    checks: int
    left: tuple[str, ...]
    todo: tuple[str, ...]
    shown: tuple[str, ...] = ()


def finish(root: Path, draft: Draft, ci: str | None = None, *, gpu: bool = False) -> Made:
    """Write the files, with a pytest.ini where the trainer lies in the repository and nothing configures pytest.

    Args:
        ci: what pip installs lvmcheck from, where a workflow and its gate are to be written. gpu: also one for a GPU.

    Raises:
        InputError: one of the files exists already, or cannot be written; then none is written.
    """
    suite = f"{SUITES}/{draft.name}/suite.toml"
    table = tomli.loads(draft.text)
    checks, todo = len(table["check"]), [*draft.todo]
    files = {root / suite: draft.text, **{root / name: text for name, text in draft.files.items()}}
    top = draft.trainer.partition(":")[0].partition(".")[0]
    local = f"{top}.py" in draft.files or (root / f"{top}.py").exists() or (root / top).is_dir()
    config = pytest_config(root)
    if local and config is None:
        files[root / "pytest.ini"] = PYTEST_INI
    elif local and config is not None and not finds_modules(config):
        todo.append(f'add pythonpath = ["."] to the pytest settings in {os.path.relpath(config)}: {top} lies beside it')
    if ci is not None:
        rules = [Rule(suite, len(table["run"]["seeds"]), checks)]
        files |= workflow_files(root, rules, install=ci) | (gpu_files(root, rules, install=ci) if gpu else {})
        todo += [COMMIT, *([] if f"{top}.py" in draft.files else [DEVICE])]
    written = write_files(
        files,
        same=[*(root / "ci" / name for name in SCRIPTS), *([root / suite] if draft.files else [])]
        + [root / name for name in draft.files],
        longer=[root / RULES, root / GPU_RULES],
        kept=[root / WORKFLOW, root / GPU_WORKFLOW],
    )
    todo += _kept(root, written, ci)
    make_home(root / USUAL)
    return Made(root / suite, tuple(written), checks, draft.left, tuple(todo), draft.shown)


def only_ci(root: Path, ci: str, *, gpu: bool = False) -> Made | None:
    """The workflow and the gate of suites that are there already; None where there is none.

    Raises:
        InputError: a suite cannot be read, or a file of the gate is another one.
    """
    suites = {path: load_suite(path, profile="smoke") for path in sorted((root / SUITES).rglob("suite.toml"))}
    if not suites:
        return None
    rules = [
        Rule(path.relative_to(root).as_posix(), len(suite.seeds), len(suite.checks)) for path, suite in suites.items()
    ]
    others = any(not suite.trainer.startswith(f"{EXAMPLE}:") for suite in suites.values())
    files = workflow_files(root, rules, install=ci) | (gpu_files(root, rules, install=ci) if gpu else {})
    written = write_files(
        files,
        same=[root / "ci" / name for name in SCRIPTS],
        longer=[root / RULES, root / GPU_RULES],
        kept=[root / WORKFLOW, root / GPU_WORKFLOW],
    )
    make_home(root / USUAL)
    return Made(None, tuple(written), 0, (), (COMMIT, *([DEVICE] if others else []), *_kept(root, written, ci)))


def _kept(root: Path, written: list[Path], ci: str | None) -> Iterator[str]:
    if ci is not None and root / WORKFLOW not in written:
        yield f"{WORKFLOW} was there and is as it was: see that it runs pytest on {SUITES}/"
