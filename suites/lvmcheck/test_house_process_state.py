"""A house rule: no test changes the state of the process in which other suites start trainers meanwhile."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLS = {
    "os": {"chdir", "fchdir", "putenv", "setegid", "seteuid", "setgid", "setuid", "umask", "unsetenv"},
    "resource": {"setrlimit"},
    "signal": {"signal", "setitimer"},
    "monkeypatch": {"chdir", "delenv", "setenv"},
}
"""What sets the user, the working directory, the environment, a limit or a signal handler of the whole process."""
PATCHED = {"builtins", "os", "signal", "subprocess", "sys", "time"}
ROOMS = ("lvmcheck.checks", "lvmcheck.launch", "lvmcheck.pytest_plugin", "lvmcheck.run")
"""What the launcher uses: a patch of it reaches the suites that run meanwhile."""
ENVIRON = {"clear", "pop", "popitem", "setdefault", "update"}
OWN = {
    "conftest.py": "sets the threads of every test, before any test or trainer starts",
    "suites/ci/conftest.py": "fixtures of files that are marked as a whole",
    "suites/data/size.py": "a program that is started by hand",
    "suites/data/test_prefetch.py": "watches os.posix_fadvise, which only models/data calls",
    "suites/lvmcheck/newcomer.py": "a program that is started by hand",
    "suites/lvmcheck/plugin_kit/toy_deaths.py": "trainers, each in its process",
    "suites/readers/peers/hf_writer.py": "a program that a test starts",
    "suites/readers/peers/wandb_writer.py": "a program that a test starts",
}
"""Files that may, and why."""


def changes(tree: ast.Module) -> list[tuple[int, str]]:
    """Line and text of every change of the process's state that does not stand in a test marked own_process."""
    return list(_changes(tree, {*PATCHED, *launchers(tree)}))


def _changes(tree: ast.AST, patched: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and any(map(marked, node.decorator_list)):
            continue
        if changes_state(node, patched):
            yield node.lineno, ast.unparse(node)  # type: ignore[attr-defined]
        yield from _changes(node, patched)


def launchers(tree: ast.Module) -> set[str]:
    """Local names of modules, classes and functions of :data:`ROOMS`."""
    froms = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(ROOMS)
    ]
    return {alias.asname or alias.name for node in froms for alias in node.names}


def marked(node: ast.AST) -> bool:
    return "mark.own_process" in ast.unparse(node)


NAMED = {"setattr", *ENVIRON, *(name for names in CALLS.values() for name in names)}


def changes_state(node: ast.AST, patched: set[str]) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr not in NAMED:
            return False
        owner = ast.unparse(node.func.value)
        if owner == "monkeypatch" and node.func.attr == "setattr":
            return ast.unparse(node.args[0]) in patched
        return node.func.attr in CALLS.get(owner, ()) or (owner == "os.environ" and node.func.attr in ENVIRON)
    targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
    return any(isinstance(target, ast.Subscript) and ast.unparse(target.value) == "os.environ" for target in targets)


def whole_file_is_marked(tree: ast.Module) -> bool:
    """``pytestmark = pytest.mark.own_process``."""
    names = [(ast.unparse(node.targets[0]), node.value) for node in tree.body if isinstance(node, ast.Assign)]
    return any(name == "pytestmark" and marked(value) for name, value in names)


FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "conftest.py", *(ROOT / "suites").rglob("*.py")))


def test_no_test_changes_the_state_of_the_whole_process() -> None:
    trees = ((file, ast.parse((ROOT / file).read_text(encoding="utf-8"))) for file in FILES if file not in OWN)
    found = {file: lines for file, tree in trees if not whole_file_is_marked(tree) and (lines := changes(tree))}
    assert not found, "mark the test with pytest.mark.own_process (suites/own_process.py), or start a process"


def test_every_exception_is_needed() -> None:
    assert all(changes(ast.parse((ROOT / file).read_text(encoding="utf-8"))) for file in OWN)


@pytest.mark.parametrize(
    "line",
    ["os.seteuid(0)", "monkeypatch.chdir(path)", "os.environ['A'] = '1'", "del os.environ['A']", "signal.signal(2, x)"],
)
def test_the_rule_sees_it(line: str) -> None:
    assert changes(ast.parse(f"def test_it():\n    {line}"))
    assert not changes(ast.parse(f"@pytest.mark.own_process\ndef test_it():\n    {line}"))
