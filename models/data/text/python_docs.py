"""English that ships with Python: sentences of the language reference and of the standard library's docstrings."""

from __future__ import annotations

import ast
import importlib.util
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from models.data.text.records import Record

DATASET = "python_docs"
OPENING = 4
"""Words of a sentence that are given; the rest is its answer."""
SHORTEST, LONGEST = 40, 160
_NOT_OURS = ("test", "tests", "site-packages", "idlelib", "lib2to3", "pydoc_data", "turtledemo", "ensurepip")
_SENTENCE = re.compile(r"[A-Z][A-Za-z0-9 ,.;:'()\-\"?!]*[.?!]")
_BETWEEN = re.compile(r"(?<=[a-z)][.?!]) (?=[A-Z])")
_QUOTED_NAME = re.compile(r'"([A-Za-z_][\w.]*(?:\(\))?)"')
_WORD = re.compile(r"\b[a-z]+\b")
PLAIN = 0.8
"""Least share of the words that are all small letters: sentences with less are lists of names."""


@lru_cache(maxsize=1)
def read() -> tuple[Record, ...]:
    """Every sentence once, in the order of the files; which they are depends on the Python."""
    found = dict.fromkeys(text for source in (*_reference(), *_docstrings()) for text in sentences(source))
    return tuple(_record(text, number) for number, text in enumerate(found))


def version() -> str:
    """Whose texts they are."""
    return f"Python {platform.python_version()}"


def sentences(source: str) -> Iterator[str]:
    """The sentences of a text's prose: of paragraphs with one indentation, mostly plain words."""
    for block in re.split(r"\n\s*\n", source):
        if len({len(line) - len(line.lstrip()) for line in block.split("\n") if line.strip()}) > 1:
            continue
        for text in _BETWEEN.split(_QUOTED_NAME.sub(r"\1", " ".join(block.split()))):
            words = text.split()
            fits = SHORTEST <= len(text) <= LONGEST and len(words) > OPENING
            if fits and len(_WORD.findall(text)) >= PLAIN * len(words) and _SENTENCE.fullmatch(text):
                yield text


def _record(text: str, number: int) -> Record:
    words = text.split(" ")
    opening, rest = " ".join(words[:OPENING]), " ".join(words[OPENING:])
    return Record(DATASET, f"{DATASET}-{number}", opening, rest, difficulty=float(len(words)), group=f"text {text}")


def _reference() -> Iterator[str]:
    """The topics of ``help()``, where this Python has them."""
    if importlib.util.find_spec("pydoc_data.topics") is not None:
        from pydoc_data.topics import topics

        yield from topics.values()


def _docstrings() -> Iterator[str]:
    """Of the modules, classes and functions of the standard library, from their source; nothing of it is run."""
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted((*folder.glob("*.py"), *folder.glob("[a-z]*/*.py"))):
        if path.relative_to(folder).parts[0] in _NOT_OURS:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in others' sources
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except (OSError, ValueError, SyntaxError):
                continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield ast.get_docstring(node) or ""
