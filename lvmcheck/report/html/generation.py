"""What a language model did: how many steps it halted after, and what it generated, by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.report.html.report_run import ReportRun
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from lvmcheck.text.fit import clean

HALTING = "halting"
SHARE = "share_"
TEXT = 400
"""Characters of a prompt or a generated text that are shown."""
PROMPTS, EPOCHS, WAYS, DEPTH = 12, 8, 4, 64
"""Prompts of a run, epochs of a prompt, ways to generate and steps of the recursion that are shown."""


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
    """What one prompt was continued with: ``lines`` are an epoch and, for each way of ``ways``, text and whether right.

    A way is how it was generated, such as "greedy"; None stands where it generated nothing at that epoch.
    """

    prompt: str
    answer: str | None
    dataset: str
    ways: tuple[str, ...]
    lines: tuple[tuple[int, tuple[tuple[str, bool] | None, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples of one run; ``left_out`` counts those that are not shown."""

    run: str
    prompts: tuple[Generated, ...]
    left_out: int


def histograms(runs: Sequence[ReportRun]) -> list[Histogram]:
    """One for each run that measured halting."""
    return [found for item in runs if (found := _histogram(item)) is not None]


def _histogram(item: ReportRun) -> Histogram | None:
    probes = [probe for probe in item.run.probes(HALTING) if _shares(probe)]
    if not probes:
        return None
    first, last = probes[0], probes[-1]
    steps = sorted({*_shares(first), *_shares(last)})[:DEPTH]
    tokens = last.values.get("tokens", math.nan)
    return Histogram(
        run=item.label,
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


def samples(runs: Sequence[ReportRun]) -> list[Samples]:
    """Samples of each run that generated any, a block a prompt."""
    return [_samples(it.label, it.run) for it in runs if it.run.of(ev.Sample)]


def _samples(label: str, run: Run) -> Samples:
    groups: dict[tuple[str, str | None, str], list[ev.Sample]] = {}
    for event in run.of(ev.Sample):
        groups.setdefault((event.prompt, event.answer, event.dataset or ""), []).append(event)
    chosen = dict(list(groups.items())[:PROMPTS])
    prompts = tuple(_generated(key, events) for key, events in chosen.items())
    shown = sum(cell is not None for prompt in prompts for _, cells in prompt.lines for cell in cells)
    return Samples(run=label, prompts=prompts, left_out=len(run.of(ev.Sample)) - shown)


def _generated(key: tuple[str, str | None, str], events: Sequence[ev.Sample]) -> Generated:
    """By epoch; of many epochs the first and the latest ones."""
    prompt, answer, dataset = key
    epochs = sorted({event.epoch for event in events})
    if len(epochs) > EPOCHS:
        epochs = [epochs[0], *epochs[-(EPOCHS - 1) :]]
    ways = list(dict.fromkeys(event.name for event in events))[:WAYS]
    cells = {(event.epoch, event.name): event.text.strip() for event in events}
    return Generated(
        prompt=clean(prompt.strip(), TEXT),
        answer=None if answer is None else clean(answer.strip(), TEXT),
        dataset=clean(dataset, 60),
        ways=tuple(clean(way, 40) for way in ways),
        lines=tuple((epoch, tuple(_cell(cells.get((epoch, way)), answer) for way in ways)) for epoch in epochs),
    )


def _cell(text: str | None, answer: str | None) -> tuple[str, bool] | None:
    if text is None:
        return None
    return clean(text, TEXT), answer is not None and text == answer.strip()
