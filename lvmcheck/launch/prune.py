"""References that no suite asks for any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.statistics.reference_file import FOLDER, read


def orphans(root: Path) -> list[tuple[Path, str]]:
    """References below ``root`` that no suite asks for, with the reason."""
    return list(_orphans(root))


def _orphans(root: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted((root / FOLDER).rglob("*.toml")):
        try:
            reference = read(path)
        except InputError as problem:
            yield path, f"cannot be read ({problem.problem})"
            continue
        file = root / "suites" / reference.suite / "suite.toml"
        if not file.is_file():
            yield path, f"there is no suite {reference.suite}"
        elif reference.profile not in _profiles(file, reference.profile):
            yield path, f"suite {reference.suite} has no profile {reference.profile!r}"
        elif path != root / FOLDER / reference.suite / f"{reference.profile}-{reference.device}.toml":
            yield path, "is not where its suite, profile and device would look for it"


def _profiles(file: Path, known: str) -> tuple[str, ...]:
    """The suite's profiles; a file that cannot be read proves nothing against the reference."""
    from lvmcheck.suite import load_suite

    try:
        return load_suite(file).profiles
    except InputError:
        return (known,)
