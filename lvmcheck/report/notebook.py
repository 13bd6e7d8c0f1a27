"""A run at the end of a notebook's cell: its metrics with their curves, what the universal checks find, and the cause.

Plain HTML in the colours of the notebook: no script, no style sheet, nothing from a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from lvmcheck.causes.protocol import diagnose
from lvmcheck.causes.wording import diagnosis_sentence
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.protocol import evaluate
from lvmcheck.checks.wording import counts_text, figure, verdict_text
from lvmcheck.report.progress import sparkline
from lvmcheck.run.events import Epoch
from lvmcheck.run.main_metrics import main_first
from lvmcheck.run.view import Run
from lvmcheck.text.fit import fit

METRICS, LINES = 12, 8
"""Most metrics and most findings that are shown; the rest is counted."""
HEAD = ("metric", "curve", "first", "last", "at epoch")
BAD = (Status.FAILED, Status.ERROR, Status.WARNING)


def html_of(run: Run) -> str:
    """The run as one block."""
    verdicts = evaluate(run)
    name = run.path.name if run.path is not None else "run"
    how = run.stopped_where() if run.over else f"no completion record, at epoch {run.last_epoch}"
    parts = [f"<p><b>{_text(name)}</b> {_text(how)}</p>", *_table(run), *_found(run, verdicts)]
    return f'<div class="lvmcheck">{"".join(parts)}</div>'


def _table(run: Run) -> Iterator[str]:
    names = main_first(name for event in run.of(Epoch) for name in event.metrics)
    rows = [*(_row(run, name) for name in names[:METRICS]), *_steps(run)]
    if rows:
        yield f"<table><tr>{''.join(f'<th>{_text(cell)}</th>' for cell in HEAD)}</tr>{''.join(rows)}</table>"
    if len(names) > METRICS:
        yield f"<p>and {len(names) - METRICS} more metrics</p>"


def _row(run: Run, name: str) -> str:
    series = run.series(name)
    values = [float(value) for value in series.values]
    return _cells(name, sparkline(values), figure(values[0]), figure(values[-1]), str(int(series.epochs[-1])))


def _steps(run: Run) -> Iterator[str]:
    """The loss by windows of steps, of a run that has ended no epoch."""
    if run.windows and not run.of(Epoch):
        losses = [window.loss_mean for window in run.windows]
        at = f"step {run.windows[-1].last_step:,}"
        yield _cells("loss", sparkline(losses), figure(losses[0]), figure(losses[-1]), at)


def _cells(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"


def _found(run: Run, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """What failed or warned, the likeliest cause with its fix, and how many checks answered."""
    bad = sorted((item for item in verdicts if item.status in BAD), key=lambda item: BAD.index(item.status))
    for item in bad[:LINES]:
        yield f"<div>{_text(verdict_text(item))}</div>"
    if len(bad) > LINES:
        yield f"<div>and {len(bad) - LINES} more</div>"
    failed = {item.check for item in bad if item.status is Status.FAILED}
    cause = next((found for found in diagnose(run, verdicts) if failed & found.explains), None) if failed else None
    if cause is not None:
        yield f"<div><b>cause:</b> {_text(diagnosis_sentence(cause))}</div><div><b>fix:</b> {_text(cause.fix)}</div>"
    yield f"<p>{_text(counts_text((item.outcome for item in verdicts), going_on=not run.over))}</p>"


def _text(value: str) -> str:
    return escape(fit(value))
