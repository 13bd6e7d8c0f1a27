"""Generated sums with exact answers: how many operations and digits is chosen, so how hard is known."""

from __future__ import annotations

import math
import random

from models.data.text.records import Record

THINGS = ("apples", "books", "cups", "eggs", "hats", "keys", "lamps", "pens")
_PLAIN = ("What is {}?", "Calculate {}.")
STORY = {
    "+": "If a store has {} {} and buys {}, how many are there?",
    "-": "If a store has {} {} and sells {}, how many are left?",
}


def draw(rng: random.Random, number: int, *, digits: int, operations: int, operators: str) -> Record:
    """One question.

    The number of operations, every operator, the digits of every operand (1 to ``digits``), the operand among those
    of that many digits and the form are each drawn uniformly; the text names them all, so that the surprise of the
    question is the sum of their logarithms, exactly.
    """
    signs = [rng.choice(operators) for _ in range(rng.randint(1, operations))]
    nats = math.log(operations) + len(signs) * math.log(len(operators))
    operands = []
    for _ in range(len(signs) + 1):
        value, surprise = operand(rng, digits)
        operands.append(value)
        nats += surprise
    expression = str(operands[0]) + "".join(f" {sign} {value}" for sign, value in zip(signs, operands[1:], strict=True))
    story = STORY.get(signs[0]) if len(signs) == 1 and (signs[0] == "+" or operands[0] >= operands[1]) else None
    form = rng.choice((*_PLAIN, story) if story else _PLAIN)
    nats += math.log(len(_PLAIN) + (story is not None))
    if form is story and story is not None:
        question = story.format(operands[0], rng.choice(THINGS), operands[1])
        nats += math.log(len(THINGS))
    else:
        question = form.format(expression)
    return Record(
        "arithmetic",
        f"arithmetic-{number}",
        question,
        str(evaluate(operands, signs)),
        difficulty=effort(operands, signs),
        nats=nats,
        group=numbers_group(operands),
    )


def operand(rng: random.Random, digits: int) -> tuple[int, float]:
    """A number of 1 to ``digits`` digits, each count as likely, and its surprise in nats."""
    width = rng.randint(1, digits)
    least = 10 ** (width - 1) if width > 1 else 0
    return rng.randrange(least, 10**width), math.log(digits) + math.log(10**width - least)


def evaluate(operands: list[int], signs: list[str]) -> int:
    """The value with the usual precedence: products first."""
    terms = operands[:1]
    for sign, value in zip(signs, operands[1:], strict=True):
        if sign == "*":
            terms[-1] *= value
        else:
            terms.append(value if sign == "+" else -value)
    return sum(terms)


def effort(operands: list[int], signs: list[str]) -> float:
    """Digit operations: for a sum the digits of the longer operand, for a product those of one times the other."""
    widths = [len(str(value)) for value in operands]
    pairs = zip(signs, widths[:-1], widths[1:], strict=True)
    return float(sum(left * right if sign == "*" else max(left, right) for sign, left, right in pairs))


def numbers_group(operands: list[int]) -> str:
    """Questions about the same numbers are near-duplicates, whatever the order, the operator and the words."""
    return "numbers " + " ".join(map(str, sorted(operands)))
