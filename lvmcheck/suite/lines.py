"""Where every key of a TOML text stands, from a tree-sitter parse, so that any error can name its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

KeyPath = tuple[str | int, ...]
"""Keys from the top of the document, with 0-based numbers into arrays: ``("check", 2, "floor")``."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_VALUES = ("inline_table", "array")
MAX_DEPTH = 20
"""Longer paths are not followed: no suite has them, and each costs the square of its length."""


@dataclass(frozen=True)
class Mention:
    """One mention of a key: its 1-based line and byte offset.

    Args:
        statement: it stands on its own, not inside an inline table or array.
        value: it gives the key a value; a header does not.
    """

    path: KeyPath
    line: int
    start: int
    statement: bool
    value: bool


@dataclass(frozen=True)
class Lines:
    """Mentions in document order, and the first mention of every path including those only implied by longer ones."""

    mentions: tuple[Mention, ...]
    first: dict[KeyPath, Mention]

    def exact(self, path: KeyPath) -> int | None:
        """The line on which ``path`` is first named, or None."""
        hit = self.first.get(path)
        return None if hit is None else hit.line

    def nearest(self, path: KeyPath) -> int | None:
        """The line of ``path``, else of the longest part of it that is named anywhere."""
        for size in range(len(path), 0, -1):
            if path[:size] in self.first:
                return self.first[path[:size]].line
        return None

    def below(self, path: KeyPath) -> dict[str, int]:
        """Lines of the keys directly inside the table ``path``."""
        size = len(path)
        return {
            str(found[-1]): mention.line
            for found, mention in self.first.items()
            if len(found) == size + 1 and found[:size] == path
        }

    def clash(self, before: int) -> tuple[KeyPath, int, int] | None:
        """Path, line and earlier line of the definition that a parser refused as a repetition at byte ``before``."""
        reached = [mention for mention in self.mentions if mention.start < before]
        statements = [mention for mention in reached if mention.statement]
        suspects = [mention for group in (statements, reached) for mention in group if mention.start == group[-1].start]
        valued = {mention.path: mention for mention in reversed(reached) if mention.value}
        for late in suspects:
            early = self.first[late.path]
            for size in range(len(late.path) - 1, 0, -1):
                if early.start < late.start:
                    break
                early = valued.get(late.path[:size], late)
            if early.start < late.start:
                return late.path, late.line, early.line
        return None


def scan(text: str) -> Lines:
    """Lines of the keys of a TOML text. Those below MAX_DEPTH, or that tree-sitter cannot read, are left out."""
    import tree_sitter_toml
    from tree_sitter import Language, Parser

    root = Parser(Language(tree_sitter_toml.language())).parse(text.encode()).root_node
    mentions: list[Mention] = []
    first: dict[KeyPath, Mention] = {}
    for mention in _walk(root):
        mentions.append(mention)
        for size in range(1, len(mention.path) + 1):
            first.setdefault(mention.path[:size], mention)
    return Lines(tuple(mentions), first)


def _walk(root: Node) -> Iterator[Mention]:
    """Mentions in document order. A stack, not recursion: nesting depth is in the hands of the file's author."""
    last: dict[KeyPath, int] = {}
    stack: list[tuple[Node, KeyPath, bool]] = [(child, (), True) for child in reversed(root.children)]
    while stack:
        node, prefix, statement = stack.pop()
        path = prefix
        if node.type in ("table", "table_array_element", "pair"):
            parts = _key(node)
            if parts is None:
                continue
            if node.type == "table_array_element":
                array = _resolve(parts[:-1], last) + parts[-1:]
                last[array] = last.get(array, -1) + 1
                path = (*array, last[array])
                yield _mention(array, node, statement)
            elif node.type == "table":
                path = _resolve(parts, last)
            else:
                path = prefix + parts
            if len(path) > MAX_DEPTH:
                continue
            yield _mention(path, node, statement)
            inner = [(child, path, node.type != "pair") for child in node.children if _holds(child)]
        elif node.type == "array":
            values = [child for child in node.named_children if child.type != "comment"]
            inner = [(value, (*path, index), False) for index, value in enumerate(values) if value.type in _VALUES]
        else:
            inner = [(child, path, statement) for child in node.children if _holds(child)]
        stack.extend(reversed(inner))


def _holds(node: Node) -> bool:
    return node.type in ("pair", "ERROR", *_VALUES)


def _mention(path: KeyPath, node: Node, statement: bool) -> Mention:
    return Mention(path, node.start_point[0] + 1, node.start_byte, statement, node.type == "pair")


def _resolve(parts: tuple[str, ...], last: dict[KeyPath, int]) -> KeyPath:
    """Header keys with the number of the newest element put after every array of tables, as TOML means it."""
    path: KeyPath = ()
    for part in parts:
        path = (*path, part)
        if path in last:
            path = (*path, last[path])
    return path


def _key(node: Node) -> tuple[str, ...] | None:
    key = next((child for child in node.children if child.type in ("bare_key", "quoted_key", "dotted_key")), None)
    text = b"" if key is None else key.text or b""
    return key_parts(text.decode())


def key_parts(text: str) -> tuple[str, ...] | None:
    """A key as written, bare, quoted or dotted, as its parts; None when it is no key."""
    if _BARE.fullmatch(text):
        return (text,)
    import tomli

    try:
        table: object = tomli.loads(f"{text} = 0") if "\n" not in text else None
    except (ValueError, RecursionError):
        return None
    parts: list[str] = []
    while isinstance(table, dict) and table:
        ((part, table),) = table.items()
        parts.append(part)
    return tuple(parts) or None
