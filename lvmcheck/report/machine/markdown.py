"""The session as Markdown: a comment on a pull request, which is updated in place, and the summary of a job.

Everything that comes from suites and runs is shown as code or escaped: it makes no HTML, no link and no mention.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from lvmcheck.causes.wording import STANDINGS, diagnosis_evidence
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.wording import evidence_lines
from lvmcheck.report.machine.session import CauseReport, SessionReport, SuiteReport
from lvmcheck.report.machine.words import GOOD, about, counts, headline, is_bad, run_words
from lvmcheck.report.verdicts import KINDS, bad, kind, measured_text, message, required_text, seed_text
from lvmcheck.text.fit import one_line

MARKER = "<!-- lvmcheck report -->"
"""The first line of a comment, by which it is found again to be updated."""
LONGEST = 60_000
"""Characters of a comment; GitHub refuses more than 65,536."""
FAILURES = 50
MARKS = {"passed": "✅", "expected": "✅", "failed": "❌", "error": "❗", "warning": "⚠️", "not-applicable": "➖"}
UNKNOWN = "❓"
"""Mark of every other kind."""
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
    flat = one_line(" ".join(str(text).replace("`", "'").split())).replace("|", "\\|")
    return f"`{flat}`" if flat else ""


def prose(text: str) -> str:
    """Foreign text as text: no markup, no HTML, no mention, no link."""
    flat = html.escape(one_line(" ".join(text.split())), quote=False)
    return _SPECIAL.sub(r"\\\1", flat).replace("@", "@\u200b").replace("://", ":\u200b//").replace("www.", "www\u200b.")


def _parts(report: SessionReport) -> Iterator[str]:
    good = report.status == "passed"
    yield f"### {'✅' if good else '❌'} lvmcheck: {prose(headline(report))}\n"
    yield f"{_commit(report)} · {about(report)}\n"
    yield from _overview(report)
    yield from _failures(report)
    yield from _findings("Failed in Python tests", [it.verdict for it in report.trained if bad(it.verdict)])
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
    heads = ["passed", "warnings", "failed", "not reached", "could not be judged", "not applicable", "not run"]
    lines = [f"| suite | profile | device | {' | '.join(heads)} | runs |", f"|---|---|---|{'--:|' * len(heads)}---|"]
    for suite in report.suites:
        number = counts(suite)
        shown = [sum(number[name] for name in GOOD), number["warning"], number["failed"], number["unreached"]]
        shown += [number["error"] + number["pending"] + number["not-recorded"], number["not-applicable"]]
        shown.append(number["not-run"])
        runs = "<br>".join(f"{seed_text(run.seed)} {code(run_words(run))}" for run in suite.runs)
        cells = [code(suite.name), code(suite.profile), code(suite.device), *map(str, shown), runs]
        lines.append(f"| {' | '.join(cells)} |")
    yield "\n".join([*lines, ""])


def _failures(report: SessionReport) -> Iterator[str]:
    checks = [check for suite in report.suites for check in suite.checks]
    yield from _findings("Failed", [check.verdict for check in checks if is_bad(check)])
    yield from _findings("Warnings", [it.verdict for it in checks if it.verdict.status is Status.WARNING])
    for suite in report.suites:
        for seed in dict.fromkeys(cause.seed for cause in suite.causes):
            yield _cause(suite, next(cause for cause in suite.causes if cause.seed == seed))


def _findings(title: str, verdicts: Sequence[Verdict]) -> Iterator[str]:
    if verdicts:
        yield f"#### {title}\n"
    for verdict in verdicts[:FAILURES]:
        asked = f" ({code(f'{verdict.asked.file}:{verdict.asked.line}')})" if verdict.asked else ""
        lines = [f"- **{seed_text(verdict.seed)} {code(verdict.name)}{asked}** {prose(message(verdict))}"]
        yield "\n".join([*lines, *(f"  - {prose(line)}" for line in evidence_lines(verdict.finding)[:4])])
    if len(verdicts) > FAILURES:
        yield f"- and {len(verdicts) - FAILURES} more"


def _cause(suite: SuiteReport, cause: CauseReport) -> str:
    found = cause.diagnosis
    standing = STANDINGS[found.standing].capitalize()
    lines = [f"\n**{standing}** ({code(suite.name)} {seed_text(cause.seed)}): {prose(cause.message)}"]
    lines += [f"- {prose(item)}" for item in diagnosis_evidence(found)[:6]]
    return "\n".join([*lines, f"- fix: {prose(found.fix)}", f"- next: {code(found.next)}", ""])


def _verdicts(suite: SuiteReport) -> Iterator[str]:
    verdicts = [check.verdict for check in suite.checks]
    seeds = list(dict.fromkeys(verdict.seed for verdict in verdicts))
    by_name: dict[str, dict[int | str | None, Verdict]] = {}
    for verdict in verdicts:
        by_name.setdefault(verdict.name, {})[verdict.seed] = verdict
    title = html.escape(one_line(f"{suite.name} ({suite.profile})"))
    yield f"<details><summary>Verdicts of {title}</summary>\n"
    yield f"| check | {' | '.join(map(seed_text, seeds))} | required |"
    yield f"|---|{'--:|' * len(seeds)}---|"
    for name, row in by_name.items():
        required = next((text for verdict in row.values() if (text := required_text(verdict))), "")
        cells = [_cell(row[seed]) if seed in row else "" for seed in seeds]
        yield f"| {code(name)} | {' | '.join(cells)} | {code(required)} |"
    yield "\n</details>\n"


def _cell(verdict: Verdict) -> str:
    mark, finding = MARKS.get(kind(verdict), UNKNOWN), verdict.finding
    if finding is None or finding.measured is None:
        return f"{mark} {KINDS[kind(verdict)]}"
    text = measured_text(verdict)
    return f"{mark} {code(text[:40]) if isinstance(finding.measured, str) else text}"
