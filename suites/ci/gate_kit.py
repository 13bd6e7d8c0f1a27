"""A repository of somebody else's with a toy suite under a gate, and ways to ask the gate and to edit a report."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from suites.lvmcheck.plugin_kit.project import CHECKS, Project

ROOT = Path(__file__).parents[2]
GATE = ROOT / "ci" / "gate.py"
SUITE = "suites/toy/suite.toml"
TRAINER = """
import toy


def train(config, rec):
    rec.device(config.get("device", "cpu"), "without torch")
    toy.train(config, rec)
"""
REQUIRE = f"""
[[suite]]
file = "{SUITE}"
profile = "smoke"
device = "cpu"
seeds = 2
checks = 4
"""


NONCE = "n" * 32
DATES = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
"""Equal content has an equal commit in every repository, so that one report serves many tests."""
PASSING: dict[str, str] = {}


def waiver(check: str, file: str = SUITE) -> str:
    date = datetime.date.today() + datetime.timedelta(days=10)
    keys = {"suite": file, "check": check, "reason": "short of data, issue 41", "owner": "@ana"}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f"[[waiver]]\n{lines}expires = {date}\n\n"


class Repository(Project):
    """The toy project in git, with requirements in ``gate.toml``; the CI's own variables are not seen.

    ``base`` is the commit that changes are compared with; ``options`` are further words to the gate.
    """

    def __init__(self, pytester: pytest.Pytester) -> None:
        super().__init__(pytester)
        (self.path / "mine.py").write_text(TRAINER)
        (self.path / ".gitignore").write_text(".lvmcheck/\n__pycache__/\n*.log\n")
        (self.path / "gate.toml").write_text(REQUIRE)
        self.report_file = self.path / ".lvmcheck" / "report.json"
        self.suite()
        self.options: tuple[str, ...] = ()
        self.git("init", "-q")
        self.start_from_here()

    def suite(self, *checks: str, **more: Any) -> Path:
        return super().suite(*(checks or CHECKS), **{"trainer": "mine:train", "seeds": [0, 1], **more})

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.invalid", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *who, *words], cwd=self.path, env=os.environ | DATES, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        """Files by their paths in the repository, with the folders that they need."""
        for name, text in files.items():
            place = self.path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    def start_from_here(self) -> None:
        """What stands here now is the base branch."""
        self.base = self.commit()

    def commit(self) -> str:
        """Commit everything; the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a change")
        return self.git("rev-parse", "HEAD")

    def session(
        self, *args: str, inside: bool = True, apart: bool = False, nonce: str | None = NONCE
    ) -> pytest.RunResult:
        """pytest with a JSON report; ``apart`` trains in a process of its own, as is usual, which takes longer."""
        how = () if apart else ("--lvm-inprocess",)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("LVMCHECK_NONCE", raising=False)
            if nonce is not None:
                patch.setenv("LVMCHECK_NONCE", nonce)
            return self.pytest("--lvm-json", str(self.report_file), *how, *args, inside=inside)

    def passing(self) -> None:
        """The report of a session here, made once for equal commits."""
        commit = self.git("rev-parse", "HEAD")
        if commit not in PASSING:
            self.session(apart=True)
            PASSING[commit] = self.report_file.read_text()
        self.report_file.parent.mkdir(exist_ok=True)
        self.report_file.write_text(PASSING[commit])

    def report(self) -> dict[str, Any]:
        body = json.loads(self.report_file.read_text())
        assert isinstance(body, dict)
        return body

    def gate(self, *args: str | Path, reports: Sequence[Path] = ()) -> subprocess.CompletedProcess[str]:
        """The gate's answer in this repository."""
        here = ["--require", "gate.toml", *self.options, *args]
        if (self.path / "waivers.toml").exists():
            here += ["--waivers", "waivers.toml"]
        return ask(*(reports or [self.report_file]), *here, cwd=self.path, base=self.base)

    def refuses(self, *words: str) -> None:
        """The gate refuses the report, and says every one of ``words`` on one screen."""
        refused(self.gate(), *words)


def ask(*args: str | Path, cwd: Path, script: Path = GATE, base: str = "none") -> subprocess.CompletedProcess[str]:
    """A script of ``ci/`` as a command, without what a real CI says in the environment."""
    hidden = ("GITHUB_", "CI_", "LVM")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment["LVMCHECK_NONCE"] = NONCE
    command = [sys.executable, str(script), *map(str, args), "--base", base]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120)


@cache
def scripts() -> tuple[ModuleType, ModuleType]:
    """``ci/gate.py`` and ``ci/gate_files.py`` in this process; they find each other by the folder they stand in."""
    sys.path.insert(0, str(GATE.parent))
    try:
        return importlib.import_module("gate"), importlib.import_module("gate_files")
    finally:
        sys.path.remove(str(GATE.parent))


def ask_here(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """The gate's answer without a process of its own: quicker, for many questions."""
    words = [*map(str, args), "--base", "none", "--nonce", NONCE]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(scripts()[0], "head_of", lambda _: None)  # the commit of an invented report
        code = scripts()[0].main(words)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def refused(answer: subprocess.CompletedProcess[str], *words: str) -> None:
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert answer.stdout.startswith("refused: ")
    assert len(answer.stdout.splitlines()) <= 30
    assert "Traceback" not in answer.stderr
    for word in words:
        assert word in answer.stdout


def seal(body: dict[str, Any]) -> str:
    """The report with the digest that its content has: what somebody can write who reads the code."""
    content = {key: value for key, value in body.items() if key != "digest"}
    raw = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**content, "digest": hashlib.sha256(raw).hexdigest()})
