"""What ``lvmcheck init`` does: a suite from a run, or one to start from."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tomli

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import evaluate
from lvmcheck.checks.wording import outcome_text
from lvmcheck.commands.init.propose import Proposal, propose
from lvmcheck.commands.init.suite_text import suite_text
from lvmcheck.commands.init.workflow import COMMIT, DEVICE, RULES, SCRIPTS, WORKFLOW, workflow_files
from lvmcheck.commands.init.write import PYTEST_INI, finds_modules, pytest_config, write_files
from lvmcheck.errors import InputError
from lvmcheck.launch.home import USUAL, make_home
from lvmcheck.run.view import Run
from lvmcheck.run.weights import with_weights
from lvmcheck.suite import find_trainer, load_suite
from lvmcheck.suite.judging import judge_entry

HERE = Path(__file__).parent
EXAMPLE = "training_example"
STARTING = (("finite", "a NaN never passes"), ("not_diverging", "usual bounds"), ("plausible_range", "definitions"))
"""Checks for any trainer, before anything is known of its curves."""
FLOOR = """# When you know what a good run reaches, ask for it; `lvmcheck init --from RUN` proposes floors.
# [[check]]
# check = "cosine_floor"
# metric = "val_cosine"
# epoch = "final"
# floor = "mean_of_context + 0.01"
# source = "which figure of which run this is"
"""


@dataclass(frozen=True)
class Draft:
    """A suite that could be written.

    Attributes:
        name: folder below ``suites``. text: the suite file. trainer: as the suite names it.
        files: further files, by path below the repository. left: checks that were left out, with the reason.
    """

    name: str
    text: str
    trainer: str
    files: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """What was written.

    Attributes:
        files: paths, the suite first. checks: how many it has. left: as in the draft. todo: what the person has to do.
    """

    files: tuple[Path, ...]
    checks: int
    left: tuple[str, ...]
    todo: tuple[str, ...]


def from_nothing(*, trainer: str | None, name: str | None) -> Draft:
    """A suite to start from, with an example of a trainer unless one is given.

    Raises:
        InputError: the name is none, or the trainer cannot be found.
    """
    chosen = check_name(name or "example")
    if trainer is None:
        text = (HERE / "suite_example.toml").read_text(encoding="utf-8")
        files = {f"{EXAMPLE}.py": (HERE / f"{EXAMPLE}.py").read_text(encoding="utf-8")}
        return Draft(chosen, text, f"{EXAMPLE}:train", files)
    find_trainer(trainer)
    checks = [Proposal(check_name=use, source=why) for use, why in STARTING]
    head = ["Keys and rules: docs/suite-format.md of lvmcheck. Every key of [run] goes to the trainer."]
    text = suite_text(
        about=f"{chosen}: what must hold", head=head, trainer=trainer, epochs=1, seeds=[0], config={}, checks=checks
    )
    text = text.replace("[end]\n", f"{FLOOR}\n[end]\n")
    require_pass(text, None)
    return Draft(chosen, text, trainer)


def from_run(run: Run, path: str, *, trainer: str | None, name: str | None, anyway: bool = False) -> Draft:
    """A suite that the run passes.

    Args:
        path: the path it was read from, as it was given.
        anyway: also from a run that checks or causes find something wrong with.

    Raises:
        InputError: the run has not finished or is not healthy, or its trainer is not known.
    """
    if not run.finished or not run.last_epoch or run.last_epoch < (run.planned_epochs or 0):
        raise InputError(path, f"expected a finished run with epochs, got: {run.stopped_where()}")
    wrong = problems(run)
    if wrong and not anyway:
        fix = f"lvmcheck diagnose {path} shows more; --anyway makes a suite of it nevertheless."
        raise InputError(path, f"expected a healthy run, got one with: {', '.join(wrong)}", fix=fix)
    own = str(run.info.get("suite") or "")
    stem = Path(path).name or Path(path).resolve().name
    label = f"{own} {stem}".strip()
    chosen = check_name(name or _plain(own.rpartition("/")[2] or Path(stem).stem))
    checks, left = propose(run, label)
    if not checks:
        raise InputError(path, "nothing in it that a check could judge", fix="lvmcheck check RUN shows why.")
    trainer = trainer or _own_trainer(run, path)
    text = suite_text(
        about=f"{chosen}: what run {label} shows",
        head=[*_head(label), *(f"NOT A HEALTHY RUN: {item}" for item in wrong)],
        trainer=trainer,
        epochs=run.planned_epochs or run.last_epoch,
        seeds=[run.seed or 0],
        config=run.config,
        checks=checks,
        left=left,
    )
    require_pass(text, run)
    return Draft(chosen, text, trainer, left=tuple(left))


def problems(run: Run) -> list[str]:
    """What is wrong with a run that floors were to be taken from; empty for a healthy one.

    A check without data to judge is no problem; it is left out of the suite.
    """
    verdicts = evaluate(with_weights(run)[0])
    failed = [f"{verdict.check} failed" for verdict in verdicts if verdict.status is Status.FAILED]
    return failed + [f"cause {item.name}" for item in diagnose(run, verdicts)]


def require_pass(text: str, run: Run | None) -> None:
    """Refuse a suite that cannot be loaded, or that its own run does not pass, before any file is written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "suite.toml"
        path.write_text(text, encoding="utf-8")
        try:
            suite = load_suite(path)
        except InputError as problem:
            line = text.splitlines()[problem.line - 1] if problem.line else ""
            where = f"the suite (at `{line[:60]}`)" if line else "the suite"
            raise InputError(where, problem.problem, key=problem.key, fix=problem.fix) from None
    for entry in suite.checks if run is not None else ():
        outcome = judge_entry(entry, run) if run is not None else None
        if outcome is None or outcome.status is not Status.PASSED:
            shown = outcome_text(outcome) if outcome else "not judged"
            raise InputError("the suite", f"its own run does not pass {entry.node}: {shown}")


def check_name(name: str) -> str:
    """A name that can be a folder below ``suites``.

    Raises:
        InputError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,60}", name, re.ASCII):
        raise InputError("--name", f"expected up to 61 letters, digits, '_', '.' and '-', got {name[:60]!r}")
    return name


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:60] or "recorded"


def _own_trainer(run: Run, where: str) -> str:
    trainer = run.info.get("trainer")
    if not isinstance(trainer, str):
        fix = "Name the function that trains it: --trainer package.module:function (docs/suite-format.md, [run])."
        raise InputError(where, "records no trainer", fix=fix)
    find_trainer(trainer)
    return trainer


def _head(label: str) -> list[str]:
    return [
        f"Proposed by `lvmcheck init` from run {label}. Every bound names its figure and what was taken off.",
        "One run shows no spread between seeds: `lvmcheck calibrate SUITE` trains several and proposes floors with a",
        "stated rate of false alarms; a reference band needs them too (docs/references.md of lvmcheck).",
    ]


def finish(root: Path, draft: Draft, ci: str | None = None) -> Made:
    """Write the files, with a pytest.ini where the trainer lies in the repository and nothing configures pytest.

    Args:
        ci: what pip installs lvmcheck from, where a workflow and its gate are to be written.

    Raises:
        InputError: one of the files exists already, or cannot be written; then none is written.
    """
    suite = f"suites/{draft.name}/suite.toml"
    table = tomli.loads(draft.text)
    checks, todo = len(table["check"]), []
    files = {root / suite: draft.text, **{root / name: text for name, text in draft.files.items()}}
    top = draft.trainer.partition(":")[0].partition(".")[0]
    local = f"{top}.py" in draft.files or (root / f"{top}.py").exists() or (root / top).is_dir()
    config = pytest_config(root)
    if local and config is None:
        files[root / "pytest.ini"] = PYTEST_INI
    elif local and config is not None and not finds_modules(config):
        todo.append(f'add pythonpath = ["."] to the pytest settings in {os.path.relpath(config)}: {top} lies beside it')
    if ci is not None:
        files |= workflow_files(root, suite, install=ci, seeds=len(table["run"]["seeds"]), checks=checks)
        todo += [COMMIT, *([] if f"{top}.py" in draft.files else [DEVICE])]
    written = write_files(
        files, same=[root / "ci" / name for name in SCRIPTS], longer=[root / RULES], kept=[root / WORKFLOW]
    )
    if ci is not None and root / WORKFLOW not in written:
        todo.append(f"{WORKFLOW} was there and is as it was: see that it runs pytest on suites/")
    make_home(root / USUAL)
    return Made(tuple(written), checks, draft.left, tuple(todo))
