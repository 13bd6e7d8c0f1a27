"""A diagnosis as one screen of text, and as JSON (the schema is in docs/diagnose.md)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from lvmcheck.causes.diagnosis_json import diagnosis_json
from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.causes.wording import STANDINGS, diagnosis_lines, diagnosis_sentence
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.verdict_json import verdict_json
from lvmcheck.checks.wording import plural, verdict_text
from lvmcheck.report.key_figures import first_to_last, key_curves, last_figures
from lvmcheck.report.verdicts import bad
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from lvmcheck.run.weights import recover

ROWS, WIDTH = 24, 100
FORMAT = 2
"""Version of the JSON; raised when a field changes its meaning."""


def headline(run: Run) -> str:
    """``20 epochs · amn, 1,510,912 parameters · val cosine 0.4449 -> 0.4607 · no config or seed recorded``."""
    epochs = len(run.of(ev.Epoch)) if not run.counts_evaluations else 0
    parts = [plural(epochs, "epoch") if epochs else plural(run.step, "step")]
    if run.of(ev.Model):
        model = run.of(ev.Model)[-1]
        kind = "" if model.kind == "unknown" else f"{model.kind}, "
        parts.append(f"{kind}{model.parameters:,} parameters")
    parts.append(first_to_last(key_curves(run)))
    parts.append(f"data {run.data_name}" if run.data_name else "")
    missing = [name for name, known in (("config", run.config), ("seed", run.seed is not None)) if not known]
    missing += [] if run.of(ev.Data) else ["data"]
    parts.append(f"not recorded: {', '.join(missing)}" if missing else "")
    return " · ".join(part for part in parts if part)


def screen(run: Run, causes: Sequence[Diagnosis], verdicts: Sequence[Verdict]) -> list[str]:
    """At most 24 lines of at most 100 characters: the run, its likeliest cause in full, any other in a line."""
    lines = _wrapped(headline(run), "")[:2]
    if not causes:
        weights = recover(run)
        recovered = _wrapped(weights.sentence(), "") if weights is not None else []
        return [*lines, *_without(run, verdicts), *recovered][:ROWS]
    others = [f"{STANDINGS[item.standing]}: {diagnosis_sentence(item)}" for item in causes[1:]]
    tail = [line for other in others[:4] for line in _wrapped(other, "  ")[:2]]
    if len(others) > 4:
        tail.append(f"  {len(others) - 4} more: --json")
    *first, fix, next_ = diagnosis_lines(causes[0])
    close = [line for text in (fix, next_) for line in _wrapped(text, "    ")]
    space = ROWS - len(lines) - len(tail) - len(close)
    return [*lines, *_indented(first)[:space], *close, *tail][:ROWS]


def sound(causes: Sequence[Diagnosis], verdicts: Sequence[Verdict]) -> bool:
    """Whether the screen says that no problem was found, and how many checks passed."""
    passed = any(verdict.status is Status.PASSED for verdict in verdicts)
    return not causes and passed and not any(map(bad, verdicts))


def _indented(lines: Sequence[str]) -> list[str]:
    """Each cut where the screen ends, what follows indented below it."""
    found = []
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        found += _wrapped(line, indent + "    ", indent)
    return found


def _without(run: Run, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """What to show of a run without a known cause."""
    failed = [verdict for verdict in verdicts if bad(verdict)]
    passed = sum(verdict.status is Status.PASSED for verdict in verdicts)
    figures = last_figures(run)
    if failed:
        yield "no known cause for:"
    elif passed and run.curves.unrecognised:
        yield f"nothing to say of this run: no loss, score or reward was recognised; {plural(passed, 'check')} passed"
    elif passed:
        yield f"no problem found: {plural(passed, 'check')} passed{figures and f', {figures}'}"
    else:
        yield "no check could be evaluated"
    for verdict in (*failed, *(verdict for verdict in verdicts if verdict.status is Status.WARNING)):
        yield from _wrapped(verdict_text(verdict), "    ", "  ")
    if failed:
        yield f"next: lvmcheck explain {failed[0].check}"


def _wrapped(text: str, later: str, first: str = "") -> list[str]:
    flat = " ".join(text.split())
    return textwrap.wrap(flat, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False) or [""]


def screen_json(run: Run, causes: Sequence[Diagnosis], verdicts: Sequence[Verdict]) -> dict[str, object]:
    """The same as plain values: the run, its causes (likeliest first) and what failed or warned."""
    shown = [verdict for verdict in verdicts if bad(verdict) or verdict.status is Status.WARNING]
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
        "causes": [diagnosis_json(cause) for cause in causes],
        "verdicts": [verdict_json(verdict) for verdict in shown],
    }
