"""Files written into a repository: all of them or none, and never over an existing one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lvmcheck.errors import InputError

CONFIGS = {
    "pytest.toml": "[pytest]",
    ".pytest.toml": "[pytest]",
    "pytest.ini": "[pytest]",
    ".pytest.ini": "[pytest]",
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}
"""Where pytest may be configured, and the table that does it."""
PYTEST_INI = "[pytest]\npythonpath = .\n"


def write_files(files: Mapping[Path, str]) -> None:
    """Write the files.

    Raises:
        InputError: one of them exists, or cannot be written; then none is left behind.
    """
    for path in files:
        if path.exists() or path.is_symlink():
            raise InputError(path, "exists already", fix="Nothing was written. Give another name: --name NAME.")
    written = []
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
        except OSError as problem:
            for done in written:
                done.unlink(missing_ok=True)
            raise InputError(path, f"cannot be written: {problem.strerror}") from None


def pytest_config(root: Path) -> Path | None:
    """The file that configures pytest in ``root``, or None."""
    for name, table in CONFIGS.items():
        text = _text(root / name)
        if text is not None and (table in text or name in ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml")):
            return root / name
    return None


def finds_modules(config: Path) -> bool:
    """Whether that configuration names where modules of the repository are found."""
    return "pythonpath" in (_text(config) or "")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    except OSError as problem:
        raise InputError(path, f"cannot be read: {problem.strerror}") from None
