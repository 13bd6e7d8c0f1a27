"""The verdicts of a suite as lines: one table with a column for each seed, and what a table does not say."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.wording import evidence_lines, plural, spaced
from lvmcheck.report.item import ItemReport
from lvmcheck.report.verdicts import by_seed, kind, mark, measured_text, message, required_text, seed_text, unreached

Cells = Mapping[tuple[str, int | str | None], str]
SHORT = {"not-applicable": "n/a", "unreached": "not reached", "not-recorded": "not recorded"}
"""What stands in a cell where nothing was measured."""
LONGEST = 14
"""Characters of a measured text in a cell; the failure's own message has all of it."""


def summary_lines(items: Sequence[ItemReport], width: int | None) -> Iterator[str]:
    """The table, then evidence that is shown when passed, warnings, what was not reached, and where the runs are."""
    ordered = sorted(items, key=lambda item: by_seed(item.verdict.seed))
    yield from table([item.verdict for item in items], width)
    yield from _shown_when_passed(ordered)
    yield from _warnings(ordered)
    yield from _not_reached(ordered)
    yield from _runs(ordered)


def table(verdicts: Sequence[Verdict], width: int | None = None) -> list[str]:
    """Rows of equal width in the order of the suite file; where they do not fit ``width``, a paragraph a check."""
    seeds = sorted({it.seed for it in verdicts}, key=by_seed)
    names = list(dict.fromkeys(it.name for it in sorted(verdicts, key=_line)))
    cells = {(it.name, it.seed): cell(it) for it in verdicts}
    bounds = {name: next((b for it in verdicts if it.name == name and (b := required_text(it))), "") for name in names}
    name_width = max(len(name) for name in names)
    widths = {
        seed: max([len(seed_text(seed)), *(len(cells.get((name, seed), "")) for name in names)]) for seed in seeds
    }
    head = "  ".join(["check".ljust(name_width), *(seed_text(seed).ljust(widths[seed]) for seed in seeds)])
    if width is not None and len(head) + 2 + max(map(len, bounds.values())) > width:
        return [line for name in names for line in _paragraph(name, seeds, cells, bounds[name], width)]
    lines = [f"{head}  required"]
    for name in names:
        row = [name.ljust(name_width), *(cells.get((name, seed), "").ljust(widths[seed]) for seed in seeds)]
        lines.append("  ".join([*row, bounds[name]]).rstrip())
    return lines


def _line(verdict: Verdict) -> int:
    return 0 if verdict.asked is None else verdict.asked.line or 0


def _paragraph(name: str, seeds: Sequence[int | str | None], cells: Cells, bound: str, width: int) -> list[str]:
    """A check on lines of its own: its name, what each seed measured, what is required."""
    parts = [f"{seed_text(seed)} {cells[name, seed]}" for seed in seeds if (name, seed) in cells]
    lines, line = [name], " "
    for part in parts:
        if len(line) > 1 and len(line) + 2 + len(part) > width:
            lines.append(line)
            line = " "
        line += f" {part}" if line == " " else f"  {part}"
    required = textwrap.wrap(f"required {bound}", width, initial_indent="  ", subsequent_indent="    ") if bound else []
    return [*lines, line, *required]


def cell(verdict: Verdict) -> str:
    """``✓ .5631``, ``· not reached``; ``✓ fails: .2528`` where the suite expects the check to fail."""
    short = SHORT.get(kind(verdict))
    text = measured_text(verdict) if short is None else short
    finding = verdict.finding
    if short is None and finding is not None and isinstance(finding.measured, str) and len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    if kind(verdict) == "expected":
        text = f"fails: {text}" if text else "fails"
    return f"{mark(verdict)} {text}".rstrip()


def _shown_when_passed(items: Sequence[ItemReport]) -> Iterator[str]:
    """Distances from baselines and optimum, which a pass alone does not say."""
    for item in items:
        finding = item.verdict.finding
        if item.show_when_passed and finding is not None and (lines := evidence_lines(finding)):
            yield f"{seed_text(item.verdict.seed)}  {spaced(finding.metric or finding.code)}: {', '.join(lines)}"


def _warnings(items: Sequence[ItemReport]) -> Iterator[str]:
    for item in items:
        verdict = item.verdict
        if verdict.status is Status.WARNING:
            yield f"{mark(verdict)} {seed_text(verdict.seed)}  {verdict.name}: {message(verdict)}"


def _not_reached(items: Sequence[ItemReport]) -> Iterator[str]:
    """``seed0  9 checks not reached: run stopped at epoch 1 of 20 by ...``: why, once per seed."""
    counts = Counter((item.verdict.seed, item.ended) for item in items if unreached(item.verdict))
    for (seed, ended), count in counts.items():
        yield f"{seed_text(seed)}  {plural(count, 'check')} not reached: {ended or 'the run did not start'}"


def _runs(items: Sequence[ItemReport]) -> Iterator[str]:
    """``run seed0  .lvmcheck/runs/...  finished at epoch 20 of 20``."""
    ordered = sorted(items, key=lambda item: (by_seed(item.verdict.seed), item.ended is not None))
    for seed, item in {item.verdict.seed: item for item in ordered if item.run}.items():
        reused = f"  (reused run of {item.reused} UTC)" if item.reused else ""
        yield f"run {seed_text(seed)}  {item.run}  {item.ended or 'ended once its checks were decided'}{reused}"
