"""Generated short code questions: what does this line of Python print?"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from models.data.text.arithmetic import numbers_group, operand
from models.data.text.records import Record

WORDS = ("bird", "cloud", "fish", "lake", "moon", "rain", "sand", "ship", "star", "stone", "tree", "wind")
_FUNCTIONS: dict[str, Callable[[list[int]], int]] = {"max": max, "min": min, "len": len, "sum": sum}

Line = tuple[str, str, float, float, str]
"""Code, what it prints, number of elements it touches, nats of the choice, group."""


def draw(rng: random.Random, number: int, *, digits: int) -> Record:
    """One question; the kind and every part are drawn uniformly and stand in the text, so the surprise is exact."""
    line, printed, difficulty, nats, group = rng.choice(KINDS)(rng, digits)
    return Record(
        "code",
        f"code-{number}",
        f"What does print({line}) print?",
        printed,
        difficulty=difficulty,
        nats=nats + math.log(len(KINDS)),
        group=group,
    )


def _product(rng: random.Random, digits: int) -> Line:
    (left, first), (right, second) = operand(rng, min(digits, 2)), operand(rng, 1)
    nats = first + second
    return f"{left} * {right}", str(left * right), float(len(str(left))), nats, numbers_group([left, right])


def _items(rng: random.Random) -> tuple[list[int], float]:
    """Two to four digits, and the surprise."""
    count = rng.randint(2, 4)
    return [rng.randrange(10) for _ in range(count)], math.log(3) + count * math.log(10)


def _element(rng: random.Random, _: int) -> Line:
    items, nats = _items(rng)
    place = rng.randrange(len(items))
    return f"{items}[{place}]", str(items[place]), float(len(items)), nats + math.log(len(items)), numbers_group(items)


def _function(rng: random.Random, _: int) -> Line:
    items, nats = _items(rng)
    name = rng.choice(tuple(_FUNCTIONS))
    printed = str(_FUNCTIONS[name](items))
    return f"{name}({items})", printed, float(len(items)), nats + math.log(len(_FUNCTIONS)), numbers_group(items)


def _letters(rng: random.Random, _: int) -> Line:
    word, other = rng.sample(WORDS, 2)
    nats = math.log(math.perm(len(WORDS), 2))
    return f"'{word}' + '{other}'", word + other, 2.0, nats, f"words {' '.join(sorted((word, other)))}"


KINDS = (_product, _element, _function, _letters)
