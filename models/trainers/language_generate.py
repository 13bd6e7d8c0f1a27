"""What a language model generates after an epoch: answers judged by exact match, variety beside that of the corpus."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from torch import nn

from lvmcheck.run.recorder import Recorder
from models.cognate.generate import generate
from models.data.text.answers import exact
from models.data.text.config import BY_NAME, GENERATED, QA
from models.data.text.records import SEED_PROMPTS, TYPED_PROMPTS, Question
from models.runtime.session import reported_only
from models.trainers.language_setup import LanguageSetup
from models.trainers.variety import variety

SETS = (*GENERATED, *BY_NAME, *QA)
"""Data sets whose exact match is a metric of its own; those of the person's own files count in the whole."""
REFERENCE = ("distinct_1", "distinct_2", "entropy", "top_token_share", "identical_share")


def questions(setup: LanguageSetup) -> list[Question]:
    """What the run is asked after every epoch: validation questions for which the model has positions."""
    return [each for each in setup.data.questions(setup.cfg.generation.questions) if fits(setup, each.prompt)]


def generations(setup: LanguageSetup, model: nn.Module, epoch: int, rec: Recorder) -> dict[str, float]:
    """Answers the run's questions greedily and sampled, and reports samples and variety.

    Returns:
        :func:`matches` of the greedy answers.
    """
    rule, data = setup.cfg.generation, setup.data
    items = questions(setup)
    answers = [each.answer for each in items]
    seeds = shown_prompts(setup)
    values: dict[str, float] = {}
    greedy: list[bool] = []
    for mode, temperature in (("greedy", 0.0), ("sampled", rule.temperature)):
        tokens = answer(setup, model, [*items, *seeds], temperature, seed=setup.cfg.seed + epoch)
        texts = [data.tokenizer.decode(each) for each in tokens]
        right = [exact(each.answer, text) for each, text in zip(items, texts, strict=False)]
        greedy = greedy or right
        found = variety(tokens[: len(items)], answers, right)
        values |= {f"{mode}/{name}": value for name, value in found.items()}
        shown = [*range(len(items), len(items) + len(seeds)), *range(min(rule.samples, len(items)))]
        for index, each in zip(shown, [*seeds, *items], strict=False):
            text = texts[index]
            rec.sample(mode, prompt=each.prompt, text=text, answer=each.answer, dataset=each.dataset)
    reference = variety([data.tokenizer.encode(f" {each}") for each in answers], answers, [True] * len(items))
    values |= {f"reference/{name}": reference[name] for name in REFERENCE if name in reference}
    if items:
        commonest = Counter(answers).most_common(1)[0][1]
        values["reference/top_answer_share"] = commonest / len(items)  # exact match of always saying the same
    rec.probe("generations", values)
    return matches(items, greedy)


def shown_prompts(setup: LanguageSetup) -> list[Question]:
    """Prompts whose continuations are kept with those of the first questions: the original project's three, those that
    a person types where typed questions are trained on, and the beginnings of texts where there are any.
    """
    data = setup.data
    typed = TYPED_PROMPTS if set(BY_NAME) & data.train.counts.keys() else ()
    wanted = (*SEED_PROMPTS, *typed, *(data.openings(setup.cfg.generation.samples) if typed else ()))
    return [each for each in wanted if fits(setup, each.prompt)]


def exact_match(setup: LanguageSetup, model: nn.Module) -> dict[str, float]:
    """Share of the run's questions that ``model`` answers rightly, greedily; empty without questions."""
    items = questions(setup)
    texts = map(setup.data.tokenizer.decode, answer(setup, model, items, 0.0, seed=0))
    right = [exact(each.answer, text) for each, text in zip(items, texts, strict=True)]
    return {"exact_match": sum(right) / len(right)} if right else {}


def unanswered(setup: LanguageSetup) -> dict[str, float]:
    """:func:`matches` of a model that cannot answer at all: NaN, over no question."""
    return {name: 0.0 if name.endswith("_questions") else math.nan for name in answer_metrics(questions(setup))}


def matches(items: Sequence[Question], right: Sequence[bool]) -> dict[str, float]:
    """Exact match and its number of questions, of all and by data set; empty without questions."""
    found: dict[str, float] = {}
    for name in answer_metrics(items):
        if name.endswith("_questions"):
            continue
        dataset = name.removeprefix("exact_match").removeprefix("_")
        own = [score for each, score in zip(items, right, strict=True) if dataset in ("", each.dataset)]
        found |= {name: sum(own) / len(own), f"{name}_questions": float(len(own))}
    return found


def answer_metrics(items: Sequence[Question]) -> tuple[str, ...]:
    """The metrics that answers to these questions give."""
    names = ["exact_match", *sorted({f"exact_match_{each.dataset}" for each in items if each.dataset in SETS})]
    return tuple(f"{name}{end}" for name in names for end in ("", "_questions")) if items else ()


def answer(
    setup: LanguageSetup, model: nn.Module, questions: Sequence[Question], temperature: float, *, seed: int
) -> list[list[int]]:
    """The model's continuation of each prompt, in batches."""
    rule, size = setup.cfg.generation, setup.cfg.eval_batch_size
    prompts = [setup.data.tokenizer.encode(each.prompt) for each in questions]
    found: list[list[int]] = []
    for start in range(0, len(prompts), size):
        with setup.precision(), reported_only():  # sampling sums probabilities in an order of CUDA's own
            found += generate(
                model,  # type: ignore[arg-type]
                prompts[start : start + size],
                max_new=rule.max_new,
                temperature=temperature,
                top_p=rule.top_p,
                seed=seed,
                stop=setup.data.tokenizer.end,
            )
    return found


def fits(setup: LanguageSetup, prompt: str) -> bool:
    """Whether the model has positions for the prompt and what is generated."""
    longest: int = setup.params["max_length"]
    return len(setup.data.tokenizer.encode(prompt)) + setup.cfg.generation.max_new <= longest
