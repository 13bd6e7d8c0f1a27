"""The workflow and the gate that ``lvmcheck init --ci`` writes beside a suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path

from lvmcheck.errors import InputError

HERE = Path(__file__).parent
PARTS = ("base", "files", "finding", "git", "report", "selftest", "shape", "sign", "source", "tree")
GATE = ("gate", *(f"gate_{part}" for part in PARTS))
SCRIPTS = (*(f"{name}.py" for name in GATE), "without_commands.sh")
"""Files of ``ci/`` that the workflow runs; they need nothing but Python's standard library and a shell."""
COMMIT = "commit ci/ to the main branch first: the gate takes its script and requirements from there"
DEVICE = 'have the trainer record its device, as rec.device("cpu"): the gate requires it'
WORKFLOW = Path(".github", "workflows", "lvmcheck.yml")
RULES = Path("ci", "gate.toml")
GPU_WORKFLOW, GPU_RULES = Path(".github", "workflows", "lvmcheck-gpu.yml"), Path("ci", "gate_gpu.toml")


@dataclass(frozen=True)
class Rule:
    """What a gate requires of a suite: its file below the repository, and how many seeds and checks it has."""

    file: str
    seeds: int
    checks: int
    profile: str = "smoke"
    device: str = "cpu"

    def lines(self) -> list[str]:
        keys = {
            "file": self.file,
            "profile": self.profile,
            "device": self.device,
            "seeds": self.seeds,
            "checks": self.checks,
        }
        return ["[[suite]]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]


def workflow_files(root: Path, rules: Sequence[Rule], *, install: str) -> dict[Path, str]:
    """Files to write: the workflow, the gate's scripts and its requirements.

    Args:
        rules: of the suites; one that the requirements hold already stays as it is. install: what pip installs
            lvmcheck from.

    Raises:
        InputError: ``install`` is not one line, or the gate's scripts are not at hand.
    """
    if not install.strip() or not install.isprintable() or install.startswith("-"):
        raise InputError("--ci", f"expected what pip installs lvmcheck from, got {install[:60]!r}")
    gate = _gate()
    own = next((words for name, words in _OWN.items() if (root / name).is_file()), "")
    text = (HERE / "workflow.yml").read_text(encoding="utf-8")
    text = text.replace("@LVMCHECK@", json.dumps(install, ensure_ascii=False)).replace("@OWN@", own)
    files = {root / WORKFLOW: text}
    files |= {root / "ci" / name: (gate / name).read_text(encoding="utf-8") for name in SCRIPTS}
    files[root / RULES] = _with_rules(root / RULES, rules)
    return files


def gpu_files(root: Path, rules: Sequence[Rule], *, install: str) -> dict[Path, str]:
    """The workflow of a GPU runner and what its gate requires: the suites at their full profile."""
    own = next((words for name, words in _OWN.items() if (root / name).is_file()), "")
    text = (HERE / "workflow_gpu.yml").read_text(encoding="utf-8")
    text = text.replace("@LVMCHECK@", json.dumps(install, ensure_ascii=False)).replace("@OWN@", own)
    full = [replace(rule, profile="full", device="cuda") for rule in rules]
    return {root / GPU_WORKFLOW: text, root / GPU_RULES: _with_rules(root / GPU_RULES, full)}


def _with_rules(path: Path, rules: Sequence[Rule]) -> str:
    """The requirements that are there, and those of suites that they do not hold."""
    before = _rules(path)
    new = [rule for rule in rules if f"file = {json.dumps(rule.file)}\n" not in before]
    lines = [line for rule in new for line in rule.lines()]
    return "\n".join([before or HEAD, *lines]) + "\n" if lines else before


def installed_from() -> tuple[str, str | None]:
    """What pip can install this lvmcheck from, and what there is to do where it was installed from a folder."""
    found = distribution("lvmcheck")
    try:
        origin = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        origin = {}
    url, control = str(origin.get("url", "")), origin.get("vcs_info") or {}
    if control.get("commit_id"):
        return f"lvmcheck @ {control.get('vcs', 'git')}+{url}@{control['commit_id']}", None
    if url.startswith(("http://", "https://")):
        return f"lvmcheck @ {url}", None
    spec = f"lvmcheck=={found.version}"
    if not url:
        return spec, None
    return spec, f"say in {WORKFLOW} what CI installs lvmcheck from (LVMCHECK: {spec!r}): here it came from a folder"


HEAD = "# What a commit must have shown: `seeds` and `checks` are the least there may be."


def _rules(path: Path) -> str:
    """The requirements of earlier suites, which stay; empty where there are none."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(path, f"cannot be read: {problem}") from None


_OWN = {"requirements.txt": " -r requirements.txt", "pyproject.toml": " .", "setup.py": " ."}
"""What installs the repository itself, by the first of these files that is there."""


def _gate() -> Path:
    """The folder of the gate's scripts: shipped in a wheel beside this file, or in the checkout."""
    for folder in (HERE / "ci", HERE.parents[2] / "ci"):
        if all((folder / name).is_file() for name in SCRIPTS):
            return folder
    raise InputError("--ci", "the gate's scripts are not installed", fix="Use a checkout of lvmcheck, or its wheel.")
