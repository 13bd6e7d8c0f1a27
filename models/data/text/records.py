"""One question with its answer, and how it becomes text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

CONTINUATIONS = ("hellaswag", "python_docs")
"""Sets whose question is the beginning of a text and whose answer continues it: rendered without "Q:" and "A:"."""
_NOT_WORDS = re.compile(r"[^\w+*/=<>-]+")


@dataclass(frozen=True, slots=True)
class Record:
    """A question with its answer.

    Attributes:
        dataset, id: where it comes from. split: the source's own split; "" where it has none.
        question, answer: stripped, never empty. final: what an answer must equal; the whole answer where "".
        difficulty: measured, never assigned; its unit is the set's own (``docs/text-data.md``).
        nats: surprise of the question under the generator that drew it, given the set; None where nobody knows.
        group: records of one group never stand on both sides of the split; "" stands for the normalised question.
    """

    dataset: str
    id: str
    question: str
    answer: str
    final: str = ""
    split: str = ""
    difficulty: float = 1.0
    nats: float | None = None
    group: str = ""

    @property
    def prompt(self) -> str:
        """What a model is given: up to "A:", or the text to be continued."""
        return self.question if self.dataset in CONTINUATIONS else prompt_of(self.question)

    @property
    def text(self) -> str:
        """What a model is trained on."""
        return f"{self.prompt} {self.answer}"


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt that ends with "A:", and the string that a right continuation gives (:func:`answers.exact`)."""

    prompt: str
    answer: str
    dataset: str


def prompt_of(question: str) -> str:
    """The prompt that asks ``question``."""
    return f"Q: {question}\nA:"


def group_of(record: Record) -> str:
    """The key that decides the side of the split: same key, same side."""
    return record.group or "text " + _NOT_WORDS.sub(" ", record.question.casefold()).strip()


def fingerprint(records: Iterable[Record], *more: str) -> str:
    """sha256 (hex) over the records in their order and ``more``; each part stands behind its length."""
    total = hashlib.sha256()
    for record in records:
        for part in (record.dataset, record.question, record.answer, record.final):
            raw = part.encode()
            total.update(len(raw).to_bytes(8, "little") + raw)
    for part in more:
        total.update(b"more" + len(part).to_bytes(8, "little") + part.encode())
    return total.hexdigest()


def _seed(question: str, answer: str, dataset: str = "seed") -> Question:
    return Question(prompt_of(question), answer, dataset)


SEED_PROMPTS = (
    _seed("If a store has 15 apples and sells 7, how many are left?", "8"),
    _seed("What is 25 + 17?", "42"),
    _seed("The capital of France is Paris. What is the capital of France?", "Paris"),
)
"""The original project's three test prompts for every specialisation (seeds cognate_phase1_*), in the form of the
training text. Theirs had no "Q:" in front and, in the third, a "Q:" in the middle: a form that they never trained
on."""

TYPED_PROMPTS = (
    _seed("15 - 7", "8", "typed"),
    _seed("25 + 17", "42", "typed"),
    _seed("capital of France", "Paris", "typed"),
)
"""What a person types. None of these texts, and no question about the numbers of the first two, is ever trained on."""
