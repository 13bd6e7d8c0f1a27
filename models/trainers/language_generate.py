"""What a language model generates after an epoch: answers judged by exact match, variety beside that of the corpus."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from lvmcheck.recorder import Recorder
from models.cognate.generate import generate
from models.data.text.answers import exact
from models.data.text.records import SEED_PROMPTS, Question
from models.trainers.generations import variety
from models.trainers.language_learner import Learner
from models.trainers.progress import Progress

REFERENCE = ("distinct_1", "distinct_2", "entropy", "top_token_share", "identical_share")


def generations(learner: Learner, model: nn.Module, progress: Progress, rec: Recorder) -> tuple[float | None, int]:
    """Answers the run's questions greedily and sampled, and reports samples and variety.

    Returns:
        Share of greedy answers that are right, and of how many questions; None where there are none.
    """
    rule, data = learner.cfg.generation, learner.data
    asked = [each for each in data.questions(rule.questions) if fits(learner, each.prompt)]
    seeds = [each for each in SEED_PROMPTS if fits(learner, each.prompt)]
    if not asked:
        return None, 0
    values: dict[str, float] = {}
    right = 0
    for mode, temperature in (("greedy", 0.0), ("sampled", rule.temperature)):
        tokens = answer(learner, model, [*asked, *seeds], temperature, seed=learner.cfg.seed + progress.epoch)
        texts = [data.tokenizer.decode(each) for each in tokens]
        if mode == "greedy":
            right = sum(exact(each.answer, text) for each, text in zip(asked, texts, strict=False))
        values |= {f"{mode}/{name}": value for name, value in of_answers(tokens[: len(asked)], asked).items()}
        shown = [*range(len(asked), len(asked) + len(seeds)), *range(min(rule.samples, len(asked)))]
        for place, each in zip(shown, [*seeds, *asked], strict=False):
            text = texts[place]
            rec.sample(mode, prompt=each.prompt, text=text, answer=each.answer, dataset=each.dataset)
    reference = of_answers([data.tokenizer.encode(f" {each.answer}") for each in asked], asked)
    values |= {f"reference/{name}": reference[name] for name in REFERENCE if name in reference}
    rec.probe("generations", values)
    return right / len(asked), len(asked)


def answer(
    learner: Learner, model: nn.Module, questions: Sequence[Question], temperature: float, *, seed: int
) -> list[list[int]]:
    """The model's continuation of each prompt, in batches."""
    rule, size = learner.cfg.generation, learner.cfg.eval_batch_size
    prompts = [learner.data.tokenizer.encode(each.prompt) for each in questions]
    found: list[list[int]] = []
    for start in range(0, len(prompts), size):
        with learner.precision():
            found += generate(
                model,  # type: ignore[arg-type]
                prompts[start : start + size],
                max_new=rule.max_new,
                temperature=temperature,
                top_p=rule.top_p,
                seed=seed,
                stop=learner.data.tokenizer.end,
            )
    return found


def of_answers(tokens: Sequence[Sequence[int]], questions: Sequence[Question]) -> dict[str, float]:
    """:func:`variety` of continuations of these questions."""
    return variety(tokens, [each.answer for each in questions])


def fits(learner: Learner, prompt: str) -> bool:
    """Whether the model has positions for the prompt and what is generated."""
    longest: int = learner.params["max_length"]
    return len(learner.data.tokenizer.encode(prompt)) + learner.cfg.generation.max_new <= longest
