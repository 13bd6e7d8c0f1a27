"""A suite that ``lvmcheck init`` could write: one to start from, here."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lvmcheck.checks.finding import Status
from lvmcheck.checks.wording import outcome_text
from lvmcheck.commands.init.proposal import Proposal
from lvmcheck.commands.init.suite_text import suite_text
from lvmcheck.errors import InputError
from lvmcheck.run.view import Run
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
        files: further files, by path below the repository. left: what was left out, with the reason.
        todo: what the person has to do. shown: paths of the runs that the bounds come from.
    """

    name: str
    text: str
    trainer: str
    files: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


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


def plain_name(text: str) -> str:
    """The text as a name of a folder."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:60] or "recorded"
