"""What SECURITY.md says of the code, held against the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvmcheck.launch.environment import SECRET, passed_on

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
FILES = [path for package in ("lvmcheck", "models", "ci") for path in sorted((ROOT / package).rglob("*.py"))]
NETWORK = {"socket", "ssl", "urllib.request", "http.client", "http.server", "ftplib", "smtplib", "requests", "httpx"}
UNPICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
COMPARED = {"lvmcheck/launch/executed.py": {"marshal"}}
"""A compiled file of a module that was imported already is compared with its source."""
CONNECTS = ("lvmcheck/exporters/", "models/serving/")
"""What speaks to a tracker that it is told, and what serves and measures."""
IN_MEMORY = "lvmcheck/watch/preflight/"
"""Where torch reads back what it has just written to memory."""


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)


def owner(call: ast.Call) -> str:
    """The name that a call begins with: ``a`` of ``a.b.c()``."""
    node: ast.AST = call.func
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def offences(name: str, tree: ast.AST) -> list[str]:
    """What a file does against the rules."""
    found = sorted({*imports(tree)} & UNPICKLES - COMPARED.get(name, set()))
    if not name.startswith(CONNECTS):
        found += sorted({*imports(tree)} & NETWORK)
    calls = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and owner(node) == "torch")
    loads = [call for call in calls if re.match(r"torch\.(load|jit\.load|hub\.)", call)]
    return found + [call for call in loads if not (name.startswith(IN_MEMORY) and "weights_only=True" in call)]


def test_nothing_is_unpickled_and_nothing_calls_the_network() -> None:
    found = {path: offences(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())) for path in FILES}
    assert {str(path): what for path, what in found.items() if what} == {}


@pytest.mark.parametrize("line", ["import pickle", "from urllib.request import urlopen", "torch.load(path)"])
def test_the_rule_sees_it(line: str) -> None:
    assert offences("lvmcheck/a.py", ast.parse(line))


def test_no_secret_reaches_a_trainer_unless_it_is_named() -> None:
    session = {pattern.replace("*", "CUDA"): "x" for pattern in SECRET} | {"HF_TOKEN": "x", "CUDA_VISIBLE_DEVICES": "0"}
    assert passed_on(session) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert passed_on(session, ["HF_TOKEN"])["HF_TOKEN"] == "x"


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"[\w./]+/[\w./]+\.(?:py|md)", TEXT))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
