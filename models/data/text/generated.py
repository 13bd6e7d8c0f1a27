"""The default corpus, which needs no file: arithmetic, recall from context and short code, with exact answers."""

from __future__ import annotations

import random
from collections.abc import Callable

from lvmcheck.errors import InputError
from models.data.text import arithmetic, capitals, code, python_docs, recall, sums
from models.data.text.config import GENERATED, TextConfig
from models.data.text.records import SEED_PROMPTS, TYPED_PROMPTS, Record, group_of
from models.data.text.split import held_out

HELD = 0.1
"""Share of the groups whose questions are never trained on."""
_SEED_GROUPS = {arithmetic.numbers_group([15, 7]), arithmetic.numbers_group([25, 17]), "text capital of france"}
_SEED_TEXTS = {prompt.prompt for prompt in (*SEED_PROMPTS, *TYPED_PROMPTS)}
SIGNS = {"sums": "+", "differences": "-"}


def generate(config: TextConfig, *, seed: int, validation: bool, count: int) -> list[Record]:
    """``count`` records of every set, drawn independently until enough fall on the wanted side of the split.

    The side is a function of the numbers or words in the question, never of the seed; questions about the numbers of
    the original project's test prompts are on the side of validation.

    Raises:
        InputError: the settings allow so few questions that one side has none.
    """
    return [
        record
        for name in config.sets or GENERATED
        for record in (
            _read(seed=seed, validation=validation, count=count)
            if name == python_docs.DATASET
            else _fill(name, drawer(name, config), seed=seed, validation=validation, count=count)
        )
    ]


def drawer(name: str, config: TextConfig) -> Callable[[random.Random, int], Record]:
    """The function (rng, number) -> Record that draws a question of that set."""
    if name == "arithmetic":
        digits, operations, operators = config.digits, config.operations, config.operators
        return lambda rng, number: arithmetic.draw(
            rng, number, digits=digits, operations=operations, operators=operators
        )
    if name in SIGNS:
        return lambda rng, number: sums.draw(
            rng, number, dataset=name, sign=SIGNS[name], digits=config.digits, words=config.words
        )
    if name == "capitals":
        return capitals.draw
    if name == "recall":
        return lambda rng, number: recall.draw(rng, number, facts=config.facts)
    return lambda rng, number: code.draw(rng, number, digits=config.digits)


def _fill(
    name: str, draw: Callable[[random.Random, int], Record], *, seed: int, validation: bool, count: int
) -> list[Record]:
    rng = random.Random(f"{name} {seed} {validation}")
    found: list[Record] = []
    for number in range(200 * count + 10_000):
        record = draw(rng, number)
        if _held(record) == validation:
            found.append(record)
            if len(found) == count:
                return found
    side = "validation" if validation else "training"
    problem = f"only {len(found)} of {count} {side} questions could be drawn: the settings allow too few"
    raise InputError(f"generated set {name!r}", problem, fix="Allow more digits, operations or facts.")


def _read(*, seed: int, validation: bool, count: int) -> list[Record]:
    """At most ``count`` paragraphs of one side of the split, chosen by ``seed``; there are only so many."""
    found = [record for record in python_docs.read() if _held(record) == validation]
    random.Random(f"{python_docs.DATASET} {seed} {validation}").shuffle(found)
    return found[:count]


def _held(record: Record) -> bool:
    return group_of(record) in _SEED_GROUPS or record.prompt in _SEED_TEXTS or held_out(record, HELD)
