"""What a source of Python names: modules that it imports, relative and by name, and files."""

from __future__ import annotations

import ast
import re

from gate_git import Tree

IMPORTS = ("import_module", "__import__", "run_module", "find_spec")
PLUGINS = "pytest_plugins"
WORD = re.compile(r"[\w./+-]+")


def module_files(tree: Tree, name: str) -> list[str]:
    """Files of a dotted module below any folder, with the packages that hold it."""
    parts = name.split(".")
    places = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    ends = {f"{place}{end}" for place in places for end in (".py", "/__init__.py")}
    return [path for path in tree.entries if path in ends or any(path.endswith("/" + end) for end in ends)]


def named_in(tree: Tree, source: bytes) -> set[str]:
    """Files whose path, or the end of it, is a text in a source: such as one that holds a bound."""
    ends = tuple(f"/{text}" for text in texts(parsed(source)) if "." in text)
    return {path for path in tree.entries if f"/{path}".endswith(ends)} if ends else set()


def words_in(tree: Tree, text: bytes) -> set[str]:
    """Files whose path, or the end of a path with a folder in it, is a word of a text such as a workflow."""
    words = {word.removeprefix("./") for word in WORD.findall(text.decode("utf-8", "replace"))}
    ends = tuple(f"/{word}" for word in words if "/" in word)
    return {path for path in tree.entries if path in words or (ends and f"/{path}".endswith(ends))}


def is_script(text: bytes) -> bool:
    """Whether a text is one of a shell, which may name others."""
    return text.startswith(b"#!") and b"sh" in text.split(b"\n")[0]


def imported(source: bytes, path: str) -> list[str]:
    """Modules that a source imports or names as plugins; relative ones as they are below the root."""
    names = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = path.split("/")[: -node.level] if node.level else []
            whole = [*above, *filter(None, [node.module])]
            names += [".".join([*whole, *more]) for more in ([], *([alias.name] for alias in node.names))]
        elif (isinstance(node, ast.Call) and called(node) in IMPORTS) or is_plugins(node):
            names += texts(node)
    return [name for name in names if name and not name.startswith("lvmcheck.")]


def parsed(source: bytes) -> ast.AST:
    """A source as a tree; an empty one for what Python cannot parse, and so cannot import."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def texts(node: ast.AST) -> list[str]:
    """Every text below a node of a source."""
    return [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def is_plugins(node: ast.AST) -> bool:
    """Whether it says ``pytest_plugins = ...``."""
    targets = node.targets if isinstance(node, ast.Assign) else ()
    return any(isinstance(target, ast.Name) and target.id == PLUGINS for target in targets)
