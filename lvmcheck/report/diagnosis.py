"""A diagnosis as one screen of text, and as JSON (the schema is in docs/diagnose.md)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.checks.finding import Status, Verdict, outcome_json
from lvmcheck.checks.wording import figure
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from lvmcheck.run.weights import recover

ROWS, WIDTH = 24, 100
SHOWN = ("val_cosine", "val_loss", "train_cosine", "train_loss")
FORMAT = 1
"""Version of the JSON; raised when a field changes its meaning."""


def headline(run: Run) -> str:
    """``20 epochs · amn, 1,510,912 parameters · val cosine 0.4449 -> 0.4607 · no config or seed recorded``."""
    parts = [_plural(len(run.of(ev.Epoch)), "epoch") if run.of(ev.Epoch) else _plural(len(run.windows), "window")]
    if run.of(ev.Model):
        model = run.of(ev.Model)[-1]
        parts.append(f"{model.kind}, {model.parameters:,} parameters".removeprefix("unknown, "))
    metric = next((name for name in SHOWN if name in run.metric_names), None)
    if metric is not None:
        values = run.series(metric).values
        parts.append(f"{metric.replace('_', ' ')} {figure(float(values[0]))} -> {figure(float(values[-1]))}")
    parts.append(f"data {run.data_name}" if run.data_name else "")
    missing = [name for name, known in (("config", run.config), ("seed", run.seed is not None)) if not known]
    missing += [] if run.of(ev.Data) else ["data"]
    parts.append(f"not recorded: {', '.join(missing)}" if missing else "")
    return " · ".join(part for part in parts if part)


def screen(run: Run, found: Sequence[Diagnosis], verdicts: Sequence[Verdict]) -> list[str]:
    """At most 24 lines of at most 100 signs: the run, its likeliest cause in full, any other in a line."""
    lines = _wrapped(headline(run), "")[:2]
    if not found:
        weights = recover(run)
        recovered = _wrapped(weights.sentence(), "") if weights is not None else []
        return [*lines, *_without(verdicts), *recovered][:ROWS]
    others = [f"{number} {item.sentence}" for number, item in enumerate(found[1:], start=2)]
    tail = [line for other in others[:4] for line in _wrapped(other, "  ")[:2]]
    if len(others) > 4:
        tail.append(f"  {len(others) - 4} more: --json")
    first = found[0]
    close = [line for text in (f"fix: {first.fix}", f"next: {first.next}") for line in _wrapped(text, "    ", "  ")]
    space = ROWS - len(lines) - len(tail) - len(close)
    return [*lines, *_first(first)[:space], *close, *tail][:ROWS]


def _first(item: Diagnosis) -> list[str]:
    lines = _wrapped(f"1 likely cause: {item.sentence}", "  ")
    for evidence in item.evidence:
        lines += _wrapped(f"- {evidence}", "      ", "    ")
    for other in item.ruled_out:
        lines += _wrapped(f"not: {other}", "      ", "    ")
    return lines


def _without(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """What to say of a run without a known cause."""
    failed = [verdict for verdict in verdicts if verdict.status in (Status.FAILED, Status.ERROR)]
    passed = sum(verdict.status is Status.PASSED for verdict in verdicts)
    yield "no known cause" + (" for:" if failed else f": {passed} of {len(verdicts)} universal checks passed")
    for verdict in failed:
        yield from _wrapped(f"{verdict.check}: {verdict.outcome.sentence()}", "    ", "  ")


def _wrapped(said: str, later: str, first: str = "") -> list[str]:
    flat = " ".join(said.split())
    return textwrap.wrap(flat, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False) or [""]


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def diagnosis_json(run: Run, found: Sequence[Diagnosis], verdicts: Sequence[Verdict]) -> dict[str, object]:
    """The same as plain values: the run, its causes (likeliest first) and every verdict that is not a pass."""
    bad = [verdict for verdict in verdicts if verdict.status in (Status.FAILED, Status.ERROR)]
    return {
        "format": FORMAT,
        "run": {
            "headline": headline(run),
            "epochs": len(run.of(ev.Epoch)),
            "last_epoch": run.last_epoch,
            "step": run.step,
            "metrics": list(run.metric_names),
            "data": run.data_name,
            "seed": run.seed,
            "ended": None if run.done is None else str(run.done.get("status")),
            "notes": [note.text for note in run.of(ev.Note)],
        },
        "causes": [item.to_json() for item in found],
        "failed": [{"check": verdict.check, **outcome_json(verdict.outcome)} for verdict in bad],
    }
