"""House rule: facts travel in fields. Nothing outside the wording modules takes a rendered text or a reason apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDING = sorted((ROOT / "lvmcheck").rglob("wording.py"))
"""The modules that make words; whatever one of their functions returns is a text."""
TEXTS = {"reason", "phrase", "awaits"}
"""Fields that hold words."""
PARTS = {
    *("startswith", "endswith", "partition", "rpartition", "split", "rsplit", "splitlines"),
    *("removeprefix", "removesuffix", "find", "rfind", "index", "rindex", "count"),
}
"""Methods that take a text apart, or look into it."""
NAMES = re.compile("|".join(("wording", *TEXTS)))
"""What stands in a file that has any text."""
PATTERNS = {"match", "search", "fullmatch", "findall", "finditer", "split", "sub", "subn"}
"""Functions of re, and methods of a compiled pattern."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def makers() -> dict[str, set[str]]:
    """Wording module -> names of its functions."""
    trees = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in WORDING}
    return {
        name: {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} for name, tree in trees.items()
    }


class Texts:
    """Which expressions of a file are texts."""

    def __init__(self, tree: ast.AST, known: dict[str, set[str]]) -> None:
        self.functions: set[str] = set()
        self.modules: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                self._imported(node, known)
        self.names: set[str] = set()

    def _imported(self, node: ast.ImportFrom, known: dict[str, set[str]]) -> None:
        for alias in node.names:
            local = alias.asname or alias.name
            if alias.name in known.get(node.module or "", set()):
                self.functions.add(local)
            if (whole := f"{node.module}.{alias.name}") in known:
                self.modules[local] = known[whole]

    def within(self, function: ast.AST) -> None:
        """Take the names that the function gives to texts, too."""
        self.names = set()
        for node in ast.walk(function):
            target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
            target = node.target if isinstance(node, ast.NamedExpr | ast.AnnAssign) else target
            if isinstance(target, ast.Name) and self.holds(getattr(node, "value", None)):
                self.names.add(target.id)

    def holds(self, node: ast.expr | None) -> bool:
        """Whether an expression is a text: a field, what a wording function returns, or a name for one."""
        match node:
            case ast.Attribute(attr=attr):
                return attr in TEXTS
            case ast.Name(id=name):
                return name in self.names
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=key), *_]):
                return key in TEXTS
            case ast.Call(func=ast.Name(id=name)):
                return name in self.functions
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)):
                return name in self.modules.get(module, set())
            case ast.Call(func=ast.Attribute(value=value, attr="lower" | "upper" | "strip" | "casefold")):
                return self.holds(value)
            case ast.Subscript(slice=ast.Constant(value=key)):
                return key in TEXTS
            case ast.NamedExpr(value=value):
                return self.holds(value)
            case ast.BoolOp(values=values):
                return any(map(self.holds, values))
        return False


def reads(node: ast.AST, texts: Texts) -> bool:
    """Whether an expression takes a text apart, or decides by what it holds."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr=attr), args=arguments):
            return (attr in PARTS and texts.holds(value)) or (attr in PATTERNS and any(map(texts.holds, arguments)))
        case ast.Compare(left=left, ops=operators, comparators=comparators):
            sides = [left, *comparators]
            for operator, one, other in zip(operators, sides, comparators, strict=False):
                if isinstance(operator, ast.In | ast.NotIn) and texts.holds(other):
                    return True
                words = [side for side in (one, other) if isinstance(side, ast.Constant) and side.value]
                if isinstance(operator, ast.Eq | ast.NotEq) and words and (texts.holds(one) or texts.holds(other)):
                    return True
    return False


def readings(source: str, known: dict[str, set[str]]) -> Iterator[int]:
    """Lines at which a file reads a text."""
    if not NAMES.search(source):
        return
    tree = ast.parse(source)
    texts = Texts(tree, known)
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = set()
    for scope in (tree, *scopes):
        if scope is not tree:
            texts.within(scope)
        found |= {
            node.lineno for node in ast.walk(scope) if isinstance(node, ast.Call | ast.Compare) and reads(node, texts)
        }
    yield from sorted(found)


# -- the rule ----------------------------------------------------------------------------------------------------------
FILES = [
    path for folder in ("lvmcheck", "ci", "models") for path in (ROOT / folder).rglob("*.py") if path not in WORDING
]


def test_house_rule_no_rendered_text_is_read() -> None:
    known = makers()
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(FILES)
        for line in readings(path.read_text(encoding="utf-8"), known)
    ]
    assert found == [], "take the field of the finding, outcome or event instead"


# -- the rule itself ---------------------------------------------------------------------------------------------------
HEAD = "from lvmcheck.checks.wording import sentence, outcome_text\nfrom lvmcheck.checks import wording\nimport re\n"
READ = [
    "outcome.reason.startswith('not reached')",
    "outcome.reason.partition(' (awaits')",
    "'floor' in sentence(finding)",
    "'floor' not in wording.sentence(finding)",
    "re.search('stop below', outcome_text(outcome))",
    "PATTERN.match(finding.phrase)",
    "sentence(finding).lower().split()",
    "outcome.reason == 'not needed'",
    "verdict['reason'].startswith('x')",
    "'x' in verdict.get('reason', '')",
    "(outcome.reason or '').endswith('.')",
    "def f(o):\n    text = outcome_text(o)\n    return 'x' in text",
    "def f(o):\n    if (text := outcome_text(o)).startswith('x'):\n        return 1",
]
ALLOWED = [
    "outcome.why is Why.NOT_REACHED",
    "finding.code.startswith('lag_')",
    "'x' in outcome.awaiting",
    "print(sentence(finding), outcome.reason)",
    "lines = [sentence(finding)]",
    "outcome.reason == other.reason",
    "'reason' in verdict",
    "def f(o):\n    text = outcome_text(o)\n    return text\ndef g(text):\n    return text.split()",
]


@pytest.mark.parametrize("source", READ)
def test_a_reading_is_found(source: str) -> None:
    assert list(readings(HEAD + source, makers()))


@pytest.mark.parametrize("source", ALLOWED)
def test_a_field_and_a_shown_text_are_no_reading(source: str) -> None:
    assert not list(readings(HEAD + source, makers()))
