"""House rule: what reaches a screen or a log goes through ``lvmcheck.text``, and there is one function for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "lvmcheck").rglob("*.py"))
SAY, SCREEN = "lvmcheck/text/say.py", "lvmcheck/pytest_plugin/pytest_api.py"
OWN = {SAY: {"print"}, SCREEN: {"write_line", "write_sep", "line"}, "lvmcheck/launch/guard.py": {"print"}}
"""Files that may call what is forbidden elsewhere; the guard is a process of the standard library alone."""
PRINTS = {"print", "print_exc", "print_exception"}
REPORTER = {"write_line", "write_sep", "section", "line"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
PYTEST = {"skip", "fail", "exit", "xfail", "UsageError", "CollectError", "Text"}
"""Calls whose first argument is shown as it is: by pytest, and by rich."""
NAMED = PRINTS | REPORTER | PYTEST | {"write"}


def bypasses(tree: ast.AST) -> Iterator[str]:
    """Calls of a file that show a text without having made it fit."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        if name not in NAMED:
            continue
        owner = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
        if (name in PRINTS and owner in ("", "traceback")) or (name in REPORTER and owner):
            yield name
        elif name == "write" and owner.rpartition(".")[2] in STREAMS:
            yield f"{owner}.write"
        elif name in PYTEST and (owner in ("pytest", "self") or name == "Text") and not is_fit(node):
            yield f"{name} of what is not fit()"


def is_fit(call: ast.Call) -> bool:
    """A constant, a text that only our own constants make, or the answer of ``fit``."""
    if not call.args or isinstance(call.args[0], ast.Constant):
        return True
    first = call.args[0]
    if isinstance(first, ast.JoinedStr):
        values = [part.value for part in first.values if isinstance(part, ast.FormattedValue)]
        return all(isinstance(value, ast.Name) and value.id in ("flag", "OPTION") for value in values)
    return (
        isinstance(first, ast.Call)
        and isinstance(first.func, ast.Name)
        and first.func.id in ("fit", "fit_line", "fit_lines")
    )


def test_every_text_that_is_shown_was_made_fit() -> None:
    trees = ((file, ast.parse((ROOT / file).read_text(encoding="utf-8"))) for file in FILES)
    found = {file: names for file, tree in trees if (names := set(bypasses(tree)) - OWN.get(file, set()))}
    assert not found, "use say, complain or say_json of lvmcheck.text.say, tell of pytest_api, or fit(...)"


def test_every_exception_is_needed() -> None:
    for file, names in OWN.items():
        assert names <= set(bypasses(ast.parse((ROOT / file).read_text(encoding="utf-8")))), file


@pytest.mark.parametrize(
    "line",
    [
        "print(name)",
        "sys.stderr.write(name)",
        "traceback.print_exc()",
        "reporter.write_line(name)",
        "pytest.skip(reason)",
        "pytest.fail(f'{name} failed')",
        "live.update(Text(name))",
    ],
)
def test_the_rule_sees_it(line: str) -> None:
    assert list(bypasses(ast.parse(line)))


@pytest.mark.parametrize("line", ["say(name)", "pytest.skip('nothing')", "pytest.skip(fit(x))", "file.write(name)"])
def test_the_rule_lets_it_pass(line: str) -> None:
    assert not list(bypasses(ast.parse(line)))


def test_there_is_no_second_function_that_cleans_texts() -> None:
    """Refusing what is not printable is no cleaning; suite files escape as TOML does."""
    own = {"lvmcheck/text/fit.py", "lvmcheck/suite/toml_text.py"}
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in FILES if file not in own}
    assert [file for file, text in texts.items() if "isprintable() else" in text or r"[\x00-" in text] == []
