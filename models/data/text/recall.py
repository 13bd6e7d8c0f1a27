"""Generated recall from context: a few statements, then a question about one of them."""

from __future__ import annotations

import math
import random

from models.data.text.records import Record

RELATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "capital": (
        ("France", "Spain", "Italy", "Peru", "Kenya", "Japan", "Norway", "Egypt", "Chile", "Cuba", "India", "Ghana"),
        ("Paris", "Madrid", "Rome", "Lima", "Nairobi", "Tokyo", "Oslo", "Cairo", "Quito", "Havana", "Delhi", "Accra"),
    ),
    "colour": (
        ("box", "door", "car", "hat", "cup", "ball", "chair", "lamp", "boat", "bag", "coat", "desk"),
        ("red", "blue", "green", "black", "white", "pink", "brown", "grey", "gold", "orange", "purple", "yellow"),
    ),
    "owner": (
        ("dog", "cat", "horse", "house", "farm", "shop", "bike", "garden", "phone", "book", "piano", "truck"),
        ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jack", "Kate", "Leo"),
    ),
}


def draw(rng: random.Random, number: int, *, facts: int) -> Record:
    """One question over 1 to ``facts`` statements of one relation.

    Who has which value is drawn anew each time, so that only the context tells; entities and values are drawn without
    repetition, so that the answer is never in doubt and the surprise is exact.
    """
    relation = rng.choice(tuple(RELATIONS))
    entities, values = RELATIONS[relation]
    count = rng.randint(1, facts)
    chosen, given = rng.sample(entities, count), rng.sample(values, count)
    asked = rng.randrange(count)
    article = "" if relation == "capital" else "the "
    said = [f"The {relation} of {article}{entity} is {value}." for entity, value in zip(chosen, given, strict=True)]
    question = f"{' '.join(said)} What is the {relation} of {article}{chosen[asked]}?"
    nats = math.log(len(RELATIONS)) + math.log(facts) + math.log(count)
    nats += math.log(math.perm(len(entities), count)) + math.log(math.perm(len(values), count))
    return Record("recall", f"recall-{number}", question, given[asked], difficulty=float(count), nats=nats)
