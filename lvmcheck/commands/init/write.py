"""Files written into a repository: all of them or none, and never over an existing one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
REPLACE = "Nothing was written. Another version of lvmcheck wrote it: delete it to have it written anew."
PYTEST_INI = "[pytest]\npythonpath = .\n"


def write_files(
    files: Mapping[Path, str],
    *,
    same: Collection[Path] = (),
    longer: Collection[Path] = (),
    kept: Collection[Path] = (),
) -> list[Path]:
    """Write the files.

    Args:
        same: files that may exist with the same text.
        longer: files that may exist where the text begins with what they hold.
        kept: files that may exist whatever they hold, and are left alone.

    Returns:
        The files that were written.

    Raises:
        InputError: another one exists, or one cannot be written; then all is as it was.
    """
    before = {path: _text(path) for path in files}
    for path, text in files.items():
        there = path.exists() or path.is_symlink()
        known = before[path]
        fine = path in kept or (path in same and known == text)
        fine = fine or (path in longer and known is not None and text.startswith(known))
        if there and not fine:
            fix = "Nothing was written. Give another name: --name NAME." if path.suffix == ".toml" else REPLACE
            raise InputError(path, "exists already", fix=fix)
    new = [path for path in files if before[path] is None or (path in longer and before[path] != files[path])]
    written = []
    for path in new:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x" if before[path] is None else "w", encoding="utf-8") as file:
                written.append(path)
                file.write(files[path])
        except OSError as problem:
            for done in written:
                _restore(done, before[done])
            raise InputError(path, f"cannot be written: {problem.strerror}") from None
    return new


def _restore(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(text, encoding="utf-8")


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
