"""What a language model did: how many steps it halted after, and what it generated, by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lvmcheck import events as ev
from lvmcheck.report.html.subject import Subject
from lvmcheck.report.html.text import clean
from lvmcheck.run import Run

HALTING = "halting"
SHARE = "share_"
TEXT = 400
"""Signs of a prompt or a generated text that are shown."""
PROMPTS, EPOCHS, DEPTH = 12, 8, 64
"""Prompts of a run, epochs of a prompt, and steps of the recursion that are shown."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Shares of tokens by halting step, at the first and the last epoch measured; ``bars`` are (step, first, last)."""

    run: str
    first: int
    last: int
    tokens: int | None
    bars: tuple[tuple[int, float | None, float | None], ...]


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What one prompt was continued with: ``texts`` are (epoch, how, text, whether it is the right answer)."""

    prompt: str
    answer: str | None
    dataset: str
    texts: tuple[tuple[int, str, str, bool], ...]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples of one run; ``left_out`` counts those that are not shown."""

    run: str
    prompts: tuple[Generated, ...]
    left_out: int


def histograms(subjects: Sequence[Subject]) -> list[Histogram]:
    """One for each run that measured halting."""
    return [found for subject in subjects if (found := _histogram(subject)) is not None]


def _histogram(subject: Subject) -> Histogram | None:
    probes = [probe for probe in subject.run.probes(HALTING) if _shares(probe)]
    if not probes:
        return None
    first, last = probes[0], probes[-1]
    steps = sorted({*_shares(first), *_shares(last)})[:DEPTH]
    tokens = last.values.get("tokens", math.nan)
    return Histogram(
        run=subject.label,
        first=first.epoch,
        last=last.epoch,
        tokens=int(tokens) if math.isfinite(tokens) else None,
        bars=tuple((step, _shares(first).get(step), _shares(last).get(step)) for step in steps),
    )


def _shares(probe: ev.Probe) -> dict[int, float]:
    """Halting step -> share of the tokens; what is no share is left out."""
    found = {}
    for key, value in probe.values.items():
        step = key.removeprefix(SHARE)
        if key.startswith(SHARE) and step.isascii() and step.isdigit() and len(step) < 6 and 0 <= value <= 1:
            found[int(step)] = value
    return found


def samples(subjects: Sequence[Subject]) -> list[Samples]:
    """Samples of each run that generated any, a block a prompt."""
    return [_samples(it.label, it.run) for it in subjects if it.run.of(ev.Sample)]


def _samples(label: str, run: Run) -> Samples:
    groups: dict[tuple[str, str | None, str], list[ev.Sample]] = {}
    for event in run.of(ev.Sample):
        groups.setdefault((event.prompt, event.answer, event.dataset or ""), []).append(event)
    chosen = dict(list(groups.items())[:PROMPTS])
    prompts = tuple(
        Generated(
            prompt=clean(prompt.strip(), TEXT),
            answer=None if answer is None else clean(answer, TEXT),
            dataset=clean(dataset, 60),
            texts=tuple(_texts(said, answer)),
        )
        for (prompt, answer, dataset), said in chosen.items()
    )
    return Samples(
        run=label, prompts=prompts, left_out=len(run.of(ev.Sample)) - sum(len(prompt.texts) for prompt in prompts)
    )


def _texts(said: Sequence[ev.Sample], answer: str | None) -> Iterator[tuple[int, str, str, bool]]:
    """By epoch; of many epochs the first and the latest ones."""
    epochs = sorted({event.epoch for event in said})
    if len(epochs) > EPOCHS:
        epochs = [epochs[0], *epochs[-(EPOCHS - 1) :]]
    for event in said:
        if event.epoch in epochs:
            right = answer is not None and event.text.strip() == answer.strip()
            yield event.epoch, clean(event.name, 40), clean(event.text.strip(), TEXT), right
