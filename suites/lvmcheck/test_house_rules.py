"""The house rules: what may import what, the frozen surface, and what never stands in a tracked file."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.pytest_plugin.constants import INI, OPTIONS
from lvmcheck.run.events import KINDS

ROOT = Path(__file__).parents[2]
SURFACE = Path(__file__).with_name("surface.txt")

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
LAYERS = tuple(
    {name.strip() for name in line.split("  ")[0].split(",")}
    for line in CONTRIBUTING.partition("```layers\n")[2].partition("```")[0].splitlines()
)
"""Rooms of lvmcheck from the ground up, as CONTRIBUTING lists them: each imports only itself and earlier ones."""

FOR_MODELS = {
    *("lvmcheck.run.events", "lvmcheck.run.recorder", "lvmcheck.run.start"),
    *("lvmcheck.errors", "lvmcheck.extras", "lvmcheck.validation", "lvmcheck.text.fit"),
    *("lvmcheck.text.say", "lvmcheck.text.commands"),
    *("lvmcheck.testing.devices", "lvmcheck.testing.evaluations", "lvmcheck.testing.parity"),
    *("lvmcheck.testing.speed.flops", "lvmcheck.testing.speed.stopwatch"),
}
LONGEST = 300
LONGER = {"lvmcheck/run/recorder.py": 400}
"""Lines of a file, and those that were longer when the rule came; a test may have 400."""


# -- imports -----------------------------------------------------------------------------------------------------------
def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file of every module below a top-level folder."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(path: Path) -> Sequence[str]:
    """Dotted names of all imports in a file, wherever they stand; ``from a import b`` is both a and a.b."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return names


def imported_modules(path: Path, known: dict[str, Path]) -> set[str]:
    """Imports of a file as modules of the repository."""
    found = set()
    for name in imports(path):
        while name and name not in known:
            name = name.rpartition(".")[0]
        if name:
            found.add(name)
    return found


KNOWN = modules("lvmcheck") | modules("models")
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_a_layer_and_no_layer_is_crowded() -> None:
    assert {room(name) for name in modules("lvmcheck")} - {""} == set(RANK)
    assert max(map(len, LAYERS)) <= 4


@pytest.mark.parametrize(("package", "most"), [("lvmcheck", 5), ("models", 6)])
def test_few_files_lie_flat(package: str, most: int) -> None:
    assert len(list((ROOT / package).glob("*.py"))) <= most


@pytest.mark.parametrize("module", modules("lvmcheck"))
def test_imports_point_one_way(module: str) -> None:
    if module == "lvmcheck":
        return  # its names are found when they are asked for
    for name in imported_modules(KNOWN[module], KNOWN):
        assert not name.startswith("models"), f"{module} imports {name}"
        if room(name) and room(name) != room(module):
            assert RANK[room(name)] < RANK[room(module)] or RANK[room(name)] == 0, f"{module} imports {name}"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, found first; empty where there is none."""
    state: dict[str, int] = {}

    def visit(name: str, path: list[str]) -> list[str]:
        state[name] = 1
        for other in sorted(graph.get(name, ())):
            if state.get(other) == 1:
                return [*path[path.index(other) :], other]
            if other not in state and (found := visit(other, [*path, other])):
                return found
        state[name] = 2
        return []

    return next((found for name in graph if name not in state and (found := visit(name, [name]))), [])


def test_nothing_is_imported_in_a_circle() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    graph = {name: imported_modules(path, KNOWN) - {name, "lvmcheck"} for name, path in KNOWN.items()}
    assert circle(graph) == []


def test_checks_and_causes_never_import_each_other() -> None:
    for module, path in KNOWN.items():
        if room(module) not in ("checks", "causes") or path.stem == "__init__":
            continue
        for name in imported_modules(path, KNOWN):
            inside = room(name) == room(module) and KNOWN[name].stem != "__init__"
            shared = KNOWN[name].stem.startswith("_") or KNOWN[name].parent.name in ("shared", room(module))
            assert not inside or shared, f"{module} imports {name}"


@pytest.mark.parametrize("module", modules("models"))
def test_models_see_only_events_recorder_and_errors(module: str) -> None:
    seen = {name for name in imported_modules(KNOWN[module], KNOWN) if name.startswith("lvmcheck")}
    assert seen <= FOR_MODELS


def test_torch_is_imported_by_models_alone() -> None:
    for module in modules("lvmcheck"):
        if room(module) in ("launch", "watch", "testing"):
            continue
        tree = ast.parse(KNOWN[module].read_text())
        names = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert not {name for name in names if name.partition(".")[0] == "torch"}, module


def fresh(code: str) -> list[str]:
    """Top-level names in sys.modules of a new interpreter after ``code``."""
    tail = "\nimport sys, json; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + tail], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, list)
    return found


def test_importing_lvmcheck_imports_neither_torch_nor_numpy() -> None:
    assert not {"torch", "numpy", "pytest"} & set(fresh("import lvmcheck"))


def test_collecting_the_suites_imports_no_torch() -> None:
    suites = [str(path) for path in sorted((ROOT / "suites").rglob("suite.toml"))]
    assert suites
    code = f"import pytest\nassert pytest.main(['--co', '-q', '-p', 'no:cacheprovider', *{suites!r}]) == 0"
    assert "torch" not in fresh(code)


# -- the frozen surface ------------------------------------------------------------------------------------------------
def surface() -> str:
    """What others rely on, one name a line."""
    lines = ["# Options, events, names and checks that others rely on. Change this file on purpose, never by the way."]
    lines += [f"option {flag}" + (" (also in an ini file)" if flag in INI else "") for flag in OPTIONS]
    for name, kind in KINDS.items():
        lines.append(f"event {name}: {', '.join(field.name for field in dataclasses.fields(kind))}")
    lines += [f"name lvmcheck.{name}" for name in sorted(lvmcheck.__all__)]
    return "\n".join(lines) + "\n"


def test_the_surface_is_as_it_was_agreed() -> None:
    assert surface() == SURFACE.read_text()


def test_every_public_name_is_there() -> None:
    for name in lvmcheck.__all__:
        assert getattr(lvmcheck, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lvmcheck.nothing


# -- what never stands in a tracked file -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: nothing is tracked")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def hits(tracked: list[Path], pattern: str, *, suffixes: tuple[str, ...] = ()) -> list[str]:
    """``file:line: text`` of every match; this file, which spells the patterns, is left out."""
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked
        if path != Path(__file__) and (not suffixes or path.suffix in suffixes)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if wanted.search(line)
    ]


def test_no_path_of_a_machine(tracked: list[Path]) -> None:
    assert hits(tracked, r"(?<![\w./-])/(work|tmp/|home/|root/|Users/|mnt/|data/[a-z])") == []


def test_no_host_of_a_package_registry(tracked: list[Path]) -> None:
    assert hits(tracked, r"pypi\.org|pythonhosted\.org|conda\.anaconda|download\.pytorch|index-url|artifactory") == []


def test_nothing_that_executes_what_it_reads(tracked: list[Path]) -> None:
    unsafe = r"^\s*(import|from) c?[pP]ickle|weights_only=False|allow_pickle=True|(?<![\w.])(eval|exec)\(|yaml\.load\("
    unsafe += r"|pickle\.loads?\(|marshal\.loads?\(|shell=True|os\.system\("
    found = hits(tracked, unsafe, suffixes=(".py",))
    allowed = [line for line in found if line.startswith("suites/")]  # tests make the very files that are refused
    # Bytecode is compared with its source only after this very process has imported it.
    allowed += [line for line in found if line.startswith("lvmcheck/launch/executed.py:") and "marshal.loads" in line]
    assert [line for line in found if line not in allowed] == []


MATERIAL = ("second", "silent", "third", "sixth", "seventh", "eighth", "ninth", "tenth")


def test_files_fit_in_the_head(tracked: list[Path]) -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in tracked if path.suffix == ".py"}
    for path, size in sizes.items():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(tuple(f"suites/gallery/{name}/" for name in MATERIAL)):
            continue  # material, kept as its authors wrote it
        limit = 400 if name.startswith("suites/") else LONGER.get(name, LONGEST)
        assert size <= limit, f"{name} has {size} lines, more than {limit}"
