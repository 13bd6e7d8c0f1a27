"""The session as Markdown: a comment on a pull request, which is updated in place, and the summary of a job.

Everything that comes from suites and runs is shown as code or escaped: it makes no HTML, no link and no mention.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from lvmcheck.checks.wording import figure
from lvmcheck.report.machine.session import CauseReport, CheckReport, SessionReport, SuiteReport
from lvmcheck.report.machine.words import about, counts, headline, is_bad, run_words, seed_words, sentence

MARKER = "<!-- lvmcheck report -->"
"""The first line of a comment, by which it is found again to be updated."""
LONGEST = 60_000
"""Characters of a comment; GitHub refuses more than 65,536."""
FAILURES = 50
MARKS = {"passed": "✅", "failed": "❌", "error": "❗", "not applicable": "➖", "pending": "❓", "not run": "❓"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~>-])")


def comment(report: SessionReport) -> str:
    """Markdown that begins with the marker and is never longer than a comment may be."""
    return f"{MARKER}\n{summary(report)}"


def summary(report: SessionReport) -> str:
    """The same without the marker."""
    text, left = "", 0
    for part in _parts(report):
        if len(text) + len(part) > LONGEST:
            left += 1
        else:
            text += part + "\n"
    return text + (f"\n{left} parts left out: the JSON report has everything.\n" if left else "")


def code(text: object) -> str:
    """Foreign text as a code span, in which nothing is interpreted; fit for a cell of a table."""
    flat = " ".join(str(text).replace("`", "'").replace("\0", "").split()).replace("|", "\\|")
    return f"`{flat}`" if flat else ""


def prose(text: str) -> str:
    """Foreign text as text: no markup, no HTML, no mention, no link."""
    flat = html.escape(" ".join(text.split()), quote=False)
    return _SPECIAL.sub(r"\\\1", flat).replace("@", "@\u200b").replace("://", ":\u200b//").replace("www.", "www\u200b.")


def _parts(report: SessionReport) -> Iterator[str]:
    good = report.status == "passed"
    yield f"### {'✅' if good else '❌'} lvmcheck: {prose(headline(report))}\n"
    yield f"{_commit(report)} · {about(report)}\n"
    yield from _overview(report)
    yield from _failures(report)
    if report.troubles:
        rows = [f"- {code(item.where)} ({item.when}): {code(item.message[:300])}" for item in report.troubles[:20]]
        yield "\n".join(["#### What else failed", *rows, ""])
    for suite in report.suites:
        yield "\n".join(_verdicts(suite))


def _commit(report: SessionReport) -> str:
    if report.git is None:
        return "no commit is known"
    dirty = f", with changes in {code(', '.join(report.git.changed))}" if report.git.dirty else ""
    return f"commit {code(report.git.commit[:12])}{dirty}"


def _overview(report: SessionReport) -> Iterator[str]:
    if not report.suites:
        yield "No suite was collected.\n"
        return
    lines = ["| suite | profile | device | passed | failed | could not be judged | not applicable | not run | runs |"]
    lines.append("|---|---|---|--:|--:|--:|--:|--:|---|")
    for suite in report.suites:
        number = counts(suite)
        shown = [number["passed"], number["failed"], number["error"] + number["pending"]]
        shown += [number["not applicable"], number["not run"]]
        runs = "<br>".join(f"{seed_words(run.seed)} {code(run_words(run))}" for run in suite.runs)
        cells = [code(suite.name), code(suite.profile), code(suite.device), *map(str, shown), runs]
        lines.append(f"| {' | '.join(cells)} |")
    yield "\n".join([*lines, ""])


def _failures(report: SessionReport) -> Iterator[str]:
    bad = [(suite, check) for suite in report.suites for check in suite.checks if is_bad(check)]
    if bad:
        yield "#### Failed\n"
    for suite, check in bad[:FAILURES]:
        where = f"{seed_words(check.seed)} {code(check.check)} ({code(f'{suite.file}:{check.line}')})"
        lines = [f"- **{where}** {prose(sentence(check))}", *(f"  - {prose(item)}" for item in check.evidence[:4])]
        yield "\n".join(lines)
    if len(bad) > FAILURES:
        yield f"- and {len(bad) - FAILURES} more"
    for suite in report.suites:
        for seed in dict.fromkeys(cause.seed for cause in suite.causes):
            yield _cause(suite, next(cause for cause in suite.causes if cause.seed == seed))


def _cause(suite: SuiteReport, cause: CauseReport) -> str:
    lines = [f"\n**Likely cause** ({code(suite.name)} {seed_words(cause.seed)}): {prose(cause.sentence)}"]
    lines += [f"- {prose(item)}" for item in cause.evidence[:6]]
    return "\n".join([*lines, f"- fix: {prose(cause.fix)}", f"- next: {code(cause.next)}", ""])


def _verdicts(suite: SuiteReport) -> Iterator[str]:
    seeds = list(dict.fromkeys(check.seed for check in suite.checks))
    by_name: dict[str, dict[int | str, CheckReport]] = {}
    for check in suite.checks:
        by_name.setdefault(check.check, {})[check.seed] = check
    yield f"<details><summary>Verdicts of {html.escape(suite.name)} ({html.escape(suite.profile)})</summary>\n"
    yield f"| check | {' | '.join(map(seed_words, seeds))} | wanted |"
    yield f"|---|{'--:|' * len(seeds)}---|"
    for name, row in by_name.items():
        wanted = next((check.wanted for check in row.values() if check.wanted), "")
        cells = [_cell(row[seed]) if seed in row else "" for seed in seeds]
        yield f"| {code(name)} | {' | '.join(cells)} | {code(wanted)} |"
    yield "\n</details>\n"


def _cell(check: CheckReport) -> str:
    if check.unreached:
        return "❓ not reached"
    if check.status in ("not applicable", "not run", "pending", "error"):
        return f"{MARKS[check.status]} {check.status}"
    shown = check.measured if isinstance(check.measured, str) else figure(check.measured)
    return f"{MARKS[check.status]} {code(shown[:40]) if isinstance(check.measured, str) else shown}"
