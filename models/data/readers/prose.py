"""The reference prose that ships inside Python (``pydoc_data.topics``) as chunks of one to three sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHORTEST, LONGEST, SENTENCES = 200, 400, 3  # characters a chunk aims at; sentences it may hold
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(\[])")
_NOT_PROSE = re.compile(r"::=|>>>|^[*=\-~^]{4,}$", re.MULTILINE)


@dataclass(frozen=True)
class Chunks:
    """Texts in reading order, and the article (topic) of each."""

    texts: tuple[str, ...]
    articles: tuple[str, ...]


def topics() -> Chunks:
    """Python's own topics: about 1,100 chunks of 60 topics, a little different in each Python."""
    from pydoc_data.topics import topics as written

    return chunk_articles(written)


def chunk_articles(articles: Mapping[str, str]) -> Chunks:
    """Chunks of every article that has prose of its own, in the order of the article names.

    Topics quote each other whole ("compound" holds all of "if" and "while"), which would put the same paragraph on
    both sides of a split by article. A paragraph therefore counts once, in the longest article that has it.
    """
    owner: dict[str, str] = {}
    for name in sorted(articles, key=lambda name: (-len(articles[name]), name)):
        for paragraph in paragraphs(articles[name]):
            owner.setdefault(paragraph, name)
    texts: list[str] = []
    names: list[str] = []
    for name in sorted(articles):
        own = dict.fromkeys(paragraph for paragraph in paragraphs(articles[name]) if owner[paragraph] == name)
        found = list(chunks(sentence for paragraph in own for sentence in _SENTENCE_END.split(paragraph)))
        texts += found
        names += [name] * len(found)
    return Chunks(tuple(texts), tuple(names))


def paragraphs(article: str) -> Iterable[str]:
    """The paragraphs of an article's prose on one line each; headings, grammar, code and tables are left out."""
    for paragraph in re.split(r"\n\s*\n", article):
        if is_prose(paragraph):
            yield re.sub(r"\s+", " ", paragraph).strip().removeprefix("* ")


def is_prose(paragraph: str) -> bool:
    """At least six words, mostly letters, ending like a sentence, with no grammar, prompt or underline in it."""
    text = paragraph.strip()
    if not text.endswith((".", ":", "!", "?", ")")) or _NOT_PROSE.search(text) or len(text.split()) < 6:
        return False
    letters = sum(character.isalpha() or character.isspace() for character in text)
    return letters >= 0.75 * len(text)


def chunks(parts: Iterable[str]) -> Iterable[str]:
    """Neighbouring sentences joined until a chunk has SHORTEST characters or SENTENCES sentences.

    A sentence that would take it past LONGEST starts the next chunk; a single longer sentence stays whole.
    """
    held: list[str] = []
    for sentence in parts:
        if held and len(" ".join([*held, sentence])) > LONGEST:
            yield " ".join(held)
            held = []
        held.append(sentence)
        if len(held) == SENTENCES or len(" ".join(held)) >= SHORTEST:
            yield " ".join(held)
            held = []
    if held:
        yield " ".join(held)
