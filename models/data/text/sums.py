"""Generated sums and differences of two numbers, as a person types them and as a question says them."""

from __future__ import annotations

import math
import random

from models.data.text.arithmetic import STORY, THINGS, effort, evaluate, numbers_group
from models.data.text.records import Record

SHORT = 0.3
"""Share of operands that are drawn from the numbers of one digit alone; the others are drawn from all."""
_FORMS = {"{} {} {}": 0.5, "{}{}{}": 0.1, "What is {} {} {}?": 0.15, "Calculate {} {} {}.": 0.1}
"""With the share of each; the rest are stories."""


_TYPED = ("{} {} {}", "{}{}{}")
"""Forms without a word; a question with words is harder by one."""


def draw(rng: random.Random, number: int, *, dataset: str, sign: str, digits: int, words: bool = True) -> Record:
    """One question with ``sign`` between two operands of 1 to ``digits`` digits; without ``words`` as it is typed.

    Operands and form are drawn independently and stand in the text, so the surprise is exact. A story of things that
    are sold is told only where there are enough of them; else the first form takes its share.
    """
    (left, first), (right, second) = (_operand(rng, digits) for _ in range(2))
    shares = {form: share for form, share in _FORMS.items() if words or form in _TYPED}
    rest = STORY[sign] if words and (sign == "+" or left >= right) else next(iter(_FORMS))
    shares[rest] = shares.get(rest, 0.0) + 1.0 - sum(shares.values())
    form = rng.choices(tuple(shares), tuple(shares.values()))[0]
    nats = first + second - math.log(shares[form])
    if form in _FORMS:
        question = form.format(left, sign, right)
    else:
        question = form.format(left, rng.choice(THINGS), right)
        nats += math.log(len(THINGS))
    operands = [left, right]
    return Record(
        dataset,
        f"{dataset}-{number}",
        question,
        str(evaluate(operands, [sign])),
        difficulty=effort(operands, [sign]) + (form not in _TYPED),
        nats=nats,
        group=numbers_group(operands),
    )


def _operand(rng: random.Random, digits: int) -> tuple[int, float]:
    """A number and its surprise in nats."""
    value = rng.randrange(10) if rng.random() < SHORT else rng.randrange(10**digits)
    probability = (1 - SHORT) / 10**digits + (SHORT / 10 if value < 10 else 0.0)
    return value, -math.log(probability)
