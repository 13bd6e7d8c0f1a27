"""What a source of Python names: modules that it imports, relative and by name, and files."""

from __future__ import annotations

import ast
import fnmatch
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator

from gate_git import LINK, Tree

IMPORTS = ("import_module", "__import__", "run_module", "find_spec")
PLUGINS = "pytest_plugins"
WORD = re.compile(r"[\w./+-]+")
MODULE = re.compile(r"\s-m[ \t]+([\w.]+)")
HOLE = re.compile(r"\{[^{}]*\}|%[sdi]")
"""Where a text is filled in."""
SCRIPTS = (".py", ".sh")
COPIES = ("COPY", "ADD")
"""Lines of a Dockerfile that name what is judged as well."""
BUILDS = ("pyproject.toml", "setup.cfg")
FILE = re.compile(r"\bfile\s*[=:]")
"""In those, on a line that names files of requirements."""
MOST_TEXT = 1 << 20


def module_files(tree: Tree, name: str) -> list[str]:
    """Files of a dotted module below any folder, with the packages that hold it."""
    parts = name.split(".")
    places = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    ends = {f"{place}{end}" for place in places for end in (".py", "/__init__.py")} | {f"{places[-1]}/__main__.py"}
    return [path for path in tree.entries if path in ends or any(path.endswith("/" + end) for end in ends)]


def followed(tree: Tree, names: Iterable[str], but: Collection[str] = ()) -> dict[str, bytes]:
    """Files of modules and of what they import, each with its source.

    Args:
        but: files that are passed over.
    """
    found: dict[str, bytes] = {}
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            for path in {*module_files(tree, name)} - {*found, *but}:
                found[path] = tree.read(path) or b""
                waiting += imported(found[path], path)
    return found


def named_in(tree: Tree, source: bytes, path: str = "") -> set[str]:
    """Files whose path, or the end of it, is a text in a source, such as one that holds a bound.

    A text in which something is filled in, or that is the end of a name, stands for files beside the source, and for
    those of a folder that it names.
    """
    listed = texts(parsed(source))
    ends = tuple(f"/{text}" for text in listed if "." in text)
    found = {it for it in tree.entries if f"/{it}".endswith(ends)} if ends else set()
    own = posixpath.dirname(path)
    folders = {own, *(posixpath.normpath(posixpath.join(own, text)) for text in listed if text and "." not in text)}
    patterns = {posixpath.basename(wild) for text in listed if "." in (wild := filled(text)) and "*" in wild}
    near = [it for it in tree.entries if posixpath.dirname(it) in folders] if patterns else []
    return found | {it for it in near if any(fnmatch.fnmatchcase(posixpath.basename(it), one) for one in patterns)}


def filled(text: str) -> str:
    """A text as a pattern, with ``*`` where something is filled in, and before the end of a name."""
    return HOLE.sub("*", f"*{text}" if text[:1] == "." and text[1:].isalnum() else text)


def words_in(tree: Tree, text: bytes, path: str = "") -> set[str]:
    """Files that a text such as a workflow names: by a path, by the end of one, or as ``-m module``.

    Args:
        path: of the text, in whose folder what it names may lie as well.
    """
    folder, _, name = path.rpartition("/")
    lines = text[:MOST_TEXT].decode("utf-8", "replace").splitlines()
    plain = "\n".join(it for it in lines if FILE.search(it) or (name not in BUILDS and it.split(" ")[0] not in COPIES))
    listed = {*WORD.findall(plain)}
    words = {word.removeprefix("./") for word in listed}
    words |= {posixpath.normpath(posixpath.join(folder, word)) for word in words}
    words |= {*(through_links(tree, word) for word in words)}
    ends = tuple(f"/{word.removeprefix('./')}" for word in listed if "/" in word or word.endswith(SCRIPTS))
    found = {path for path in tree.entries if path in words or (ends and f"/{path}".endswith(ends))}
    modules = {path for name in MODULE.findall(plain) for path in module_files(tree, name)}
    return {*_with_targets(tree, found | modules)}


def _with_targets(tree: Tree, paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield path
        yield through_links(tree, path)


def through_links(tree: Tree, path: str) -> str:
    """The path without the links of the tree that lie on it."""
    for _ in range(8):
        parts = path.split("/")
        above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        link = next((place for place in above if tree.entries.get(place, ("",))[0] == LINK), None)
        if link is None:
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(link), tree.target(link)) + path[len(link) :])
    return path


def is_script(text: bytes) -> bool:
    """Whether a text is one of a shell, which may name others."""
    return text.startswith(b"#!") and b"sh" in text.split(b"\n")[0]


def is_list(path: str) -> bool:
    """Whether a file may be a list of requirements, which may name others."""
    return path.endswith((".txt", ".in"))


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
    """Every text below a node of a source; one that is put together has ``{}`` where something is filled in."""
    found, parts = [], set[int]()
    for one in ast.walk(node):  # a whole before its parts
        if isinstance(one, ast.JoinedStr):
            parts |= {id(it) for it in one.values}
            found.append("".join(str(it.value) if isinstance(it, ast.Constant) else "{}" for it in one.values))
        elif isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in parts:
            found.append(one.value)
    return found


def called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def is_plugins(node: ast.AST) -> bool:
    """Whether it says ``pytest_plugins = ...``."""
    targets = node.targets if isinstance(node, ast.Assign) else ()
    return any(isinstance(target, ast.Name) and target.id == PLUGINS for target in targets)
