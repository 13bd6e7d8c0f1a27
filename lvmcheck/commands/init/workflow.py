"""The workflow and the gate that ``lvmcheck init --ci`` writes beside a suite."""

from __future__ import annotations

import json
from pathlib import Path

from lvmcheck.errors import InputError

HERE = Path(__file__).parent
GATE = (
    "gate",
    *(f"gate_{part}" for part in ("base", "files", "finding", "git", "report", "selftest", "shape", "tree")),
)
SCRIPTS = (*(f"{name}.py" for name in GATE), "without_commands.sh")
"""Files of ``ci/`` that the workflow runs; they need nothing but Python's standard library and a shell."""
COMMIT = "commit ci/ to the main branch first: the gate takes its script and requirements from there"
DEVICE = 'have the trainer record its device, as rec.device("cpu"): the gate requires it'
WORKFLOW = Path(".github", "workflows", "lvmcheck.yml")
RULES = Path("ci", "gate.toml")


def workflow_files(root: Path, suite: str, *, install: str, seeds: int, checks: int) -> dict[Path, str]:
    """Files to write: the workflow, the gate's scripts and its requirements.

    Args:
        suite: path of the suite's file below ``root``. install: what pip installs lvmcheck from.
        seeds: how many the suite trains. checks: how many it has at the smoke profile.

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
    before = _rules(root / RULES)
    rule = {"file": suite, "profile": "smoke", "device": "cpu", "seeds": seeds, "checks": checks}
    lines = [before or HEAD, "[[suite]]"]
    files[root / RULES] = "\n".join([*lines, *(f"{k} = {json.dumps(v)}" for k, v in rule.items())]) + "\n"
    return files


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
