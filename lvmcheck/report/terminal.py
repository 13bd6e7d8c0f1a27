"""What pytest prints for suite items: a word with figures after each, and one table of verdicts at the end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import pytest

from lvmcheck.checks.wording import figure
from lvmcheck.report.width import wrapped

MARKS = {"passed": "✓", "failed": "✗", "not applicable": "–", "error": "!"}
UNREACHED = "not reached"
"""Category of items that a stopped run left open: still failures to pytest, without a section each."""
COLOURS = {"passed": {"green": True}, "failed": {"red": True}, "skipped": {"yellow": True}}


def lvm_of(report: Any) -> dict[str, Any] | None:
    """What a suite item reported of itself; None for any other test."""
    return next((body for name, body in getattr(report, "user_properties", ()) if name == "lvm"), None)


def status_word(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, Any]:
    """Category, letter, and in verbose mode the word with measured value, bound and margin."""
    body = lvm_of(report) or {}
    letter = {"passed": ".", "failed": "F", "skipped": "s"}[report.outcome]
    if report.outcome == "failed" and body.get("unreached"):
        return UNREACHED, "n", (UNREACHED.upper(), {"yellow": True})  # its own section would only repeat the reason
    word = report.outcome.upper()
    if config.get_verbosity() > 0 and report.outcome == "passed":
        word += f"  {said(body)}"
    if config.get_verbosity() > 0 and report.outcome == "skipped":
        word = f"SKIPPED  not applicable: {body.get('reason', '')}"
    return report.outcome, letter, (word, COLOURS[report.outcome])


def said(body: dict[str, Any]) -> str:
    """``.5631, wanted at least 0.48 (+.0831)``."""
    measured = body.get("measured")
    shown = measured if isinstance(measured, str) else figure(measured)
    margin = body.get("margin")
    extra = f" ({margin:+.4g})" if isinstance(margin, int | float) else ""
    as_expected = "failed as expected: " if body.get("expected_failure") else ""
    return f"{as_expected}{shown}, wanted {body.get('wanted')}{extra}"


def summary(reporter: Any) -> None:
    """One table per suite: a row per check, a column per seed; then where the runs are."""
    if reporter.config.get_verbosity() < -1:
        return
    bodies = [body for report in reports(reporter) if (body := lvm_of(report)) is not None]
    for suite in dict.fromkeys((body["suite"], body["profile"], body["file"]) for body in bodies):
        chosen = [body for body in bodies if (body["suite"], body["profile"], body["file"]) == suite]
        reporter.write_sep("-", f"verdicts of {suite[0]} ({suite[1]})")
        tw = reporter._tw
        for line in table(chosen, tw.fullwidth if tw.hasmarkup else None):
            reporter.write_line(line)
        for line in (*told(chosen), *unreached(chosen), *runs(chosen)):
            for part in wrapped(line, tw):
                reporter.write_line(part)


def reports(reporter: Any) -> Iterable[Any]:
    for category in ("passed", "failed", "skipped", "error", UNREACHED):
        for report in reporter.stats.get(category, ()):
            if getattr(report, "when", "") == "call":
                yield report


def table(bodies: list[dict[str, Any]], width: int | None = None) -> list[str]:
    """Rows of equal width in the order of the suite file; where they do not fit ``width``, a paragraph a check."""
    seeds = sorted({body["seed"] for body in bodies}, key=by_seed)
    checks = list(dict.fromkeys(body["check"] for body in sorted(bodies, key=lambda b: b["line"])))
    cells = {(body["check"], body["seed"]): cell(body) for body in bodies}
    bounds = {check: next((b["wanted"] for b in bodies if b["check"] == check and b["wanted"]), "") for check in checks}
    name_width = max(len(check) for check in checks)
    widths = {seed: max(len(cells.get((check, seed), "")) for check in checks) for seed in seeds}
    widths = {seed: max(size, len(column(seed))) for seed, size in widths.items()}
    head = "  ".join(["check".ljust(name_width), *(column(seed).ljust(widths[seed]) for seed in seeds)])
    if width is not None and len(head) + 2 + max(len(bound) for bound in bounds.values()) > width:
        return [line for check in checks for line in _paragraph(check, seeds, cells, bounds[check], width)]
    lines = [f"{head}  wanted"]
    for check in checks:
        row = [check.ljust(name_width), *(cells.get((check, seed), "").ljust(widths[seed]) for seed in seeds)]
        lines.append("  ".join([*row, bounds[check]]).rstrip())
    return lines


def _paragraph(
    check: str, seeds: list[int | str], cells: dict[tuple[str, int | str], str], bound: str, width: int
) -> list[str]:
    """A check on lines of its own: its name, what each seed measured, what was wanted."""
    said = [f"{column(seed)} {cells[check, seed]}" for seed in seeds if (check, seed) in cells]
    lines, line = [check], " "
    for part in said:
        if len(line) > 1 and len(line) + 2 + len(part) > width:
            lines.append(line)
            line = " "
        line += f" {part}" if line == " " else f"  {part}"
    wanted = textwrap.wrap(f"wanted {bound}", width, initial_indent="  ", subsequent_indent="    ") if bound else []
    return [*lines, line, *wanted]


def by_seed(seed: int | str) -> tuple[bool, int]:
    """Seeds in order, then what all of them answer together."""
    return (True, 0) if isinstance(seed, str) else (False, seed)


def column(seed: int | str) -> str:
    return seed if isinstance(seed, str) else f"seed{seed}"


def cell(body: dict[str, Any]) -> str:
    """``✓ .5631``; text measurements are left to the failure's own message."""
    mark = MARKS[body["status"]]
    measured = body["measured"]
    if body.get("unreached"):
        return "· not reached"
    if body["status"] == "not applicable":
        return f"{mark} n/a"
    return (
        f"{mark} {figure(measured)}" if isinstance(measured, int | float) else f"{mark} {short_text(measured)}".rstrip()
    )


def short_text(measured: str | None) -> str:
    return "" if measured is None else measured if len(measured) <= 14 else measured[:13] + "…"


def told(bodies: list[dict[str, Any]]) -> list[str]:
    """Distances from baselines and optimum, which a pass alone does not say; the last sentence of the evidence."""
    return [
        f"{column(body['seed'])}  {body['what']} {body['evidence'][-1]}"
        for body in sorted(bodies, key=lambda body: by_seed(body["seed"]))
        if body["told"] and body["evidence"]
    ]


def unreached(bodies: list[dict[str, Any]]) -> list[str]:
    """``seed0  9 checks not reached: run stopped at epoch 1 of 20 by ...``: why, once per seed."""
    reasons = [
        (body["seed"], body["reason"].partition(" (awaits")[0].removeprefix("not reached: "))
        for body in sorted(bodies, key=lambda body: by_seed(body["seed"]))
        if body["unreached"]
    ]
    counts = {key: reasons.count(key) for key in reasons}
    return [f"seed{seed}  {plural(count)} not reached: {reason}" for (seed, reason), count in counts.items()]


def plural(count: int) -> str:
    return "1 check" if count == 1 else f"{count} checks"


def runs(bodies: list[dict[str, Any]]) -> list[str]:
    """``run seed0  .lvmcheck/runs/...  finished at epoch 20 of 20``."""
    ordered = sorted(bodies, key=lambda body: (by_seed(body["seed"]), body["ended"] is not None))
    found = {body["seed"]: body for body in ordered if body["run"]}
    return [
        f"run seed{seed}  {body['run']}  {body['ended'] or 'ended once its checks were decided'}"
        + (f"  (reused run of {body['reused']} UTC)" if body["reused"] else "")
        for seed, body in found.items()
    ]
