"""Packages that lvmcheck needs, those that it can use, and pytest plugins that interfere with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from lvmcheck.commands.doctor.item import Item
from lvmcheck.extras import CHECKOUT, install

OWN = "lvmcheck"
INTERFERING = {
    "rerunfailures": (
        "repeats failed items: a check that fails is judged again until it passes",
        "pip uninstall pytest-rerunfailures, or -p no:rerunfailures",
        True,
    ),
    "flaky": ("repeats failed items: a check that fails is judged again", "pip uninstall flaky, or -p no:flaky", True),
    "randomly": (
        "shuffles items; lvmcheck puts its own back in order, but seeds that wait for others do so longer",
        "-p no:randomly",
        False,
    ),
    "timeout": (
        "its limit counts the time that an item waits for its run to train",
        "--timeout 0 for suites; a trainer that hangs is ended by lvmcheck",
        False,
    ),
}
"""Plugin -> (what it does to suites, what to do, whether verdicts can be wrong)."""
OUR_OWN = ("dev", "docs", "peers")
"""Beginnings of extras that serve the development of lvmcheck alone."""
AUTOLOAD = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"


def packages(environment: Mapping[str, str]) -> Iterator[Item]:
    """Dependencies that are missing or of the wrong version, extras, and plugins of pytest."""
    needed, extras = requirements()
    wrong = [item for requirement in needed if (item := _dependency(requirement)) is not None]
    yield from wrong
    if not wrong:
        yield Item(group="packages", name="dependencies", value=f"all {len(needed)} are installed")
    for extra, required in sorted(extras.items()):
        missing = [requirement.name for requirement in required if version(requirement.name) is None]
        if missing and extra.startswith(OUR_OWN) and not CHECKOUT:
            continue
        value = f"not installed; {install(extra)}" if missing else "installed"
        yield Item(group="packages", name=f"extra {extra}", value=value)
    yield from plugins(environment)


def requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """What the installed lvmcheck declares: always needed, and by extra."""
    needed: list[Requirement] = []
    extras: dict[str, list[Requirement]] = {}
    try:
        declared = metadata.requires(OWN) or []
    except metadata.PackageNotFoundError:
        declared = []  # run from a folder without being installed
    for text in declared:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        extra = re.search(r"""extra == ["']([\w.-]+)["']""", str(requirement.marker or ""))
        if extra is not None:
            extras.setdefault(extra[1], []).append(requirement)
        elif requirement.marker is None or requirement.marker.evaluate():
            needed.append(requirement)
    return needed, extras


def version(name: str) -> str | None:
    """The installed version of a package, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _dependency(requirement: Requirement) -> Item | None:
    found = version(requirement.name)
    if found is not None and requirement.specifier.contains(found, prereleases=True):
        return None
    problem = "is not installed" if found is None else f"expected {requirement.specifier}"
    fix = f'pip install "{requirement.name}{requirement.specifier}"'
    return Item(
        group="packages", name=requirement.name, value=found or "missing", problem=problem, fix=fix, spoils=True
    )


def plugins(environment: Mapping[str, str]) -> Iterator[Item]:
    """Plugins that pytest will load here."""
    names = sorted({entry.name for entry in metadata.entry_points(group="pytest11")})
    if environment.get(AUTOLOAD):
        yield Item(
            group="pytest",
            name=AUTOLOAD,
            value=environment[AUTOLOAD],
            problem="pytest loads no plugin by itself, so suite files are not collected",
            fix=f"unset {AUTOLOAD}, or add -p lvmcheck.pytest_plugin.hooks",
            spoils=True,
        )
    elif OWN not in names:
        problem, fix = "lvmcheck is not among them, so suite files are not collected", "pip install -e ."
        yield Item(group="pytest", name="plugins", value=", ".join(names), problem=problem, fix=fix, spoils=True)
    else:
        yield Item(group="pytest", name="plugins", value=", ".join(names))
    for name in names:
        if name in INTERFERING:
            problem, fix, spoils = INTERFERING[name]
            yield Item(group="pytest", name=name, value="installed", problem=problem, fix=fix, spoils=spoils)
    options = environment.get("PYTEST_ADDOPTS")
    if options:
        problem = "pytest adds these options to every call; a -k or --deselect among them hides checks"
        yield Item(
            group="pytest", name="PYTEST_ADDOPTS", value=options[:80], problem=problem, fix="unset PYTEST_ADDOPTS"
        )
