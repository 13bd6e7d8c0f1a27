"""``make newcomer``: a new user's first minutes, timed: a wheel in an empty environment, then what README prints.

The clock of the limits starts when everything is installed: the way of packages says nothing of lvmcheck.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from suites.lvmcheck.docs_kit.console import differs, run, steps

ROOT = Path(__file__).parents[2]
README, TUTORIAL, SPEC = ROOT / "README.md", ROOT / "docs" / "tutorial.md", "lvmcheck"
LIMITS = {
    "a recorded classifier is judged": 120,
    "a Python test is red": 240,
    "a repository is gated": 600,
    "the tutorial is done": 600,
}
"""Seconds from the start within which each must have happened."""


class Newcomer:
    """An empty folder, an environment with the wheel, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder / "work", folder / "venv" / "bin"
        self.folder.mkdir()
        self.began = time.monotonic()

    def sh(self, command: str, *, code: int | None = 0, says: str = "", where: Path | None = None) -> str:
        """Runs a command as a person would, and says what differs from what was expected.

        Raises:
            SystemExit: another exit code, or a text that was not printed.
        """
        got, printed = run(command, where or self.folder, bin=self.bin)
        if (code is not None and got != code) or says not in printed:
            raise SystemExit(f"$ {command}\nexpected exit code {code} and {says!r}, got {got}:\n{printed[-3000:]}")
        return printed

    def at(self, what: str) -> None:
        """Prints when something had happened, and holds it to its limit."""
        seconds, limit = time.monotonic() - self.began, LIMITS.get(what)
        print(f"{seconds:7.1f} s  {what}" + (f"  (limit {limit} s)" if limit else ""), flush=True)
        if limit is not None and seconds > limit:
            raise SystemExit(f"{what}: later than {limit} s")


def install(one: Newcomer) -> None:
    """An empty environment with the wheel and what it needs."""
    wheels, environment = one.folder.parent / "dist", one.bin.parent
    quiet = ["--quiet", "--disable-pip-version-check"]
    built = [sys.executable, "-m", "pip", "wheel", *quiet, "--no-deps", "-w", str(wheels), str(ROOT)]
    subprocess.run(built, check=True)
    one.at("the wheel is built")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    wheel = next(wheels.glob("lvmcheck-*.whl"))
    subprocess.run([str(one.bin / "python"), "-m", "pip", "install", *quiet, str(wheel)], check=True)
    where = one.sh("python -c 'import lvmcheck; print(lvmcheck.__file__)'")
    if not where.startswith(str(environment)):
        raise SystemExit(f"lvmcheck was imported from {where}")
    one.at("the wheel is installed")
    one.began = time.monotonic()


def readme(before: str) -> Iterator[tuple[str, str]]:
    """Commands of README above a heading, each with the first line that it is said to print."""
    text = README.read_text(encoding="utf-8")
    for step in steps(README):
        if step.command.startswith("cat >") or text.index(step.command) < text.index(before):
            yield step.command, next((line for line in step.expected if line.strip() not in ("", "...")), "")


def workflow(where: Path, number: int) -> tuple[str, str]:
    """The command lines of a run of the workflow that judge and decide; each run of it has a nonce of its own."""
    text = (where / ".github" / "workflows" / "lvmcheck.yml").read_text()
    judge = re.search(r"run: (bash ci/without_commands.sh [^\n]+)", text)
    decide = re.search(r"python3 ci/gate.py (\S+) --require (\S+)", text)
    if judge is None or decide is None:
        raise SystemExit("the workflow holds no command that judges, or none that decides")
    nonce, report = f"export LVMCHECK_NONCE={number}-1; ", judge[1].partition("--lvm-json=")[2].split()[0]
    return nonce + judge[1], f"{nonce}python3 ci/gate.py {report} --require {decide[2]} --base none"


def gated(one: Newcomer) -> None:
    """A repository with a suite and its gate: accepted twice from a fresh clone, refused after a planted fault."""
    home, clone = one.folder.parent / "repository", one.folder.parent / "clone"
    home.mkdir()
    one.sh(f"git init -q . && lvmcheck init --ci {SPEC} && git add -A && git commit -qm 'Judge training'", where=home)
    one.sh(f"git clone -q {shlex.quote(str(home))} {shlex.quote(str(clone))}", where=home)
    for number in (1, 2):
        judge, decide = workflow(clone, number)
        one.sh(judge, where=clone)
        one.sh(decide, says="accepted", where=clone)
    one.at("a repository is gated")
    change = "sed -i 's/^lr = .*/lr = 0.0001/' suites/example/suite.toml"
    one.sh(f"{change} && git commit -qam 'Lower the rate'", where=clone)
    judge, decide = workflow(clone, 3)
    one.sh(judge, code=1, where=clone)
    one.sh(decide, code=1, says="refused", where=clone)
    one.at("a regression is refused")


def tutored(one: Newcomer) -> None:
    """The tutorial from its first command to its last, in a folder of its own beside the checkout."""
    home = one.folder.parent / "tutorial"
    home.mkdir()
    (one.folder.parent / "lvmcheck").symlink_to(ROOT)
    for step in steps(TUTORIAL):
        code, printed = run(step.command, home, bin=one.bin)
        wrong = differs(step.expected, printed) if step.expected else f"exit code {code}" if code else None
        if wrong is not None:
            raise SystemExit(f"$ {step.command}\n{wrong}\n{printed[-3000:]}")
    one.at("the tutorial is done")


def main() -> None:
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        one = Newcomer(Path(folder))
        install(one)
        judged = False
        for command, says in readme("## In CI"):
            one.sh(command, code=None, says=says.removesuffix("...").split("  ")[0])
            if command.startswith("lvmcheck check") and not judged:
                judged = True
                one.at("a recorded classifier is judged")
        one.at("a Python test is red")
        gated(one)
        tutored(one)


if __name__ == "__main__":
    main()
