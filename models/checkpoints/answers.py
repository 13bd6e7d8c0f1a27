"""The answers of a trained language model to many questions, and the figures over them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from models.checkpoints.atomic import publish_file
from models.checkpoints.language_model import LanguageModel
from models.data.text.answers import exact, final_of
from models.data.text.config import TextConfig
from models.data.text.dataset import open_text
from models.data.text.records import Question
from models.data.text.sources import read_sets
from models.runtime.bleu import bleu
from models.trainers.variety import variety


@dataclass(frozen=True)
class Answer:
    """One question as it was asked and answered; ``nats`` of the right answer over its ``tokens``, NaN if too long."""

    dataset: str
    prompt: str
    answer: str
    text: str
    right: bool
    nats: float
    tokens: int


@dataclass(frozen=True)
class Answers:
    """All of them.

    Attributes:
        variety: figures of :func:`models.trainers.variety.variety` over the tokens of the answers.
    """

    answers: tuple[Answer, ...]
    variety: Mapping[str, float]

    @property
    def exact_match(self) -> float:
        """Share of the questions that are answered rightly."""
        return sum(each.right for each in self.answers) / len(self.answers)

    @property
    def perplexity(self) -> float:
        """Of the right answers: exp of the mean nats a token."""
        told = [each for each in self.answers if each.tokens]
        count = sum(each.tokens for each in told)
        return math.exp(sum(each.nats for each in told) / count) if count else math.nan

    def lines(self) -> Iterator[str]:
        """The figures, one a line."""
        by_set: dict[str, list[bool]] = defaultdict(list)
        for each in self.answers:
            by_set[each.dataset].append(each.right)
        right = sum(each.right for each in self.answers)
        sets = ", ".join(f"{name} {sum(found)} of {len(found)}" for name, found in sorted(by_set.items()))
        parts = f": {sets}" if len(by_set) > 1 else ""
        yield f"exact match {self.exact_match:.3f} ({right} of {len(self.answers)}{parts})"
        distinct = self.variety.get("distinct_1")
        shown = "no token" if distinct is None else f"{distinct:.3f}"
        run, tokens = self.variety.get("longest_run", 0.0), self.variety["tokens"]
        yield f"token diversity {shown} (different tokens over {tokens:.0f}; longest run of one token {run:.0f})"
        yield f"perplexity {self.perplexity:.3f} (of the right answers, a token)"


def ask(model: LanguageModel, questions: Sequence[Question], **settings: Any) -> Answers:
    """Asks every question.

    Raises:
        InputError: a prompt that does not fit into the model's context.
    """
    prompts = [model.tokenizer.encode(each.prompt) for each in questions]
    tokens = model.answers(prompts, **settings)
    found = []
    for question, prompt, given in zip(questions, prompts, tokens, strict=True):
        text = model.tokenizer.decode(given)
        nats, count = model.surprise(prompt, question.answer)
        right = exact(question.answer, text)
        found.append(Answer(question.dataset, question.prompt, question.answer, text, right, nats, count))
    figures = variety(tokens, [each.answer for each in questions], [each.right for each in found])
    return Answers(tuple(found), figures)


def own_questions(model: LanguageModel, count: int) -> list[Question]:
    """Validation questions of the data that the model was trained on.

    Raises:
        InputError: the data are not there any more, or hold no question.
    """
    config = model.about.about.config
    found = open_text(config["data"], seed=config.get("seed", 0)).questions(count)
    if not found:
        raise InputError(model.source, "its validation data hold no question", fix="Name some with --prompts.")
    return found


def questions_in(path: Path, count: int) -> list[Question]:
    """The first questions of a file of JSON lines, or of a folder of such files.

    Raises:
        InputError: no such file, or a line without question or answer.
    """
    if not path.exists():
        raise InputError(path, "no such file", key="--prompts")
    records = read_sets(TextConfig(source="jsonl", path=str(path)))
    return [Question(each.prompt, each.final or final_of(each.answer), each.dataset) for each in records[:count]]


def bleu_or_reason(asked: Answers) -> tuple[float | None, str]:
    """Corpus BLEU of the answers against the right ones (sacrebleu), or None and why it is not measured."""
    try:
        return bleu([each.text.strip() for each in asked.answers], [each.answer for each in asked.answers]), ""
    except InputError as problem:
        return None, str(problem)


def write(path: Path, asked: Answers, model: LanguageModel) -> None:
    """One JSON object a line, in the order of the questions.

    Raises:
        InputError: it cannot be written.
    """
    about = {"model": model.name, "checkpoint": model.source.name}
    lines = (json.dumps({**about, **asdict(each)}, ensure_ascii=False) for each in asked.answers)
    publish_file(path, "\n".join([*lines, ""]).encode())
