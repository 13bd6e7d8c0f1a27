"""CONTRIBUTING's worked examples: each is one file, added to a copy of the package and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = dict(
    re.findall(r"^```python (\S+)\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
)
LAWS = ("test_checks.py", "test_checks_causes.py", "test_cli.py")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package that holds the examples, and the laws for all checks, causes and commands."""
    folder = tmp_path_factory.mktemp("contributed")
    shutil.copytree(ROOT / "lvmcheck", folder / "lvmcheck", ignore=shutil.ignore_patterns("__pycache__"))
    for name in LAWS:
        shutil.copy(ROOT / "suites" / "lvmcheck" / name, folder / name)
    for name, text in EXAMPLES.items():
        assert not (folder / name).exists(), name
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def python(package: Path, *words: str, expect: int = 0) -> str:
    env = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *words], cwd=package, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def lvmcheck(package: Path, *words: str, expect: int = 0) -> str:
    return python(package, "-m", "lvmcheck.commands.main", *words, expect=expect)


def test_there_is_one_of_each() -> None:
    assert [Path(name).parts[1] for name in EXAMPLES] == ["checks", "causes", "readers", "commands"]


def test_they_are_clean_and_typed(package: Path, tmp_path: Path) -> None:
    files = [str(package / name) for name in EXAMPLES]
    python(package, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *files)
    python(package, "-m", "ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), *files)
    if os.environ.get("LVM_RELIABILITY") != "full":
        return  # mypy reads the whole package for them, which takes a quarter of a minute
    alone = [shutil.copy(name, tmp_path) for name in files]  # beside the package, so that what is known of it is used
    python(ROOT, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *alone)


def test_they_keep_every_law_of_their_kind(package: Path) -> None:
    named = "loss_falls or few_validation_samples or (epochs and example)"
    words = ["-m", "pytest", "-q", "-rp", "-p", "no:cacheprovider", "--rootdir", str(package)]
    passed = re.findall(r"^PASSED (\S+?)::", python(package, *words, *LAWS, "-k", named), re.MULTILINE)
    assert set(passed) == set(LAWS)


def test_they_are_found_by_their_names(package: Path) -> None:
    assert "  loss_falls " in lvmcheck(package, "list", "checks")
    assert "  few_validation_samples " in lvmcheck(package, "list", "causes")
    assert "\nUsual causes\n" in lvmcheck(package, "explain", "loss_falls")
    assert "validation has 8 samples" in lvmcheck(package, "explain", "few_validation_samples")


def test_the_reader_and_the_command_work_together(package: Path) -> None:
    (package / "run.txt").write_text("losses\n1.0\n0.5\n0.25\n")
    assert lvmcheck(package, "epochs", "run.txt") == "3\n"
    (package / "bad.txt").write_text("losses\n1.0\nlow\n")
    lvmcheck(package, "epochs", "bad.txt", expect=2)
