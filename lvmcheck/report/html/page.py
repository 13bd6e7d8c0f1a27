"""The page: everything that a report says, put into one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lvmcheck import __version__
from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.causes.wording import STANDINGS, diagnosis_evidence, diagnosis_sentence, ruled_out_text
from lvmcheck.checks.finding import Verdict
from lvmcheck.checks.wording import evidence_lines, plural
from lvmcheck.errors import InputError
from lvmcheck.report.html import curves, data, generation, settings, steps, verdicts
from lvmcheck.report.html.colours import palette
from lvmcheck.report.html.figures import Figure, Pool
from lvmcheck.report.html.report_run import Extra, ReportRun
from lvmcheck.report.html.text import shown
from lvmcheck.report.html.thinning import points_a_curve
from lvmcheck.report.html.two_sides import two_sides
from lvmcheck.report.verdicts import KINDS, bad, kind, mark, measured_text, message, unreached
from lvmcheck.text.fit import clean, one_line

ASSETS = Path(__file__).parent / "assets"
EVIDENCE = 20
"""Figures of one finding that are shown."""
OPEN = 6
"""Metrics whose curves are open from the start; the others are one step away."""


def render(
    runs: Sequence[ReportRun],
    extras: Sequence[Extra] = (),
    *,
    folder: Path,
    problems: Sequence[str] = (),
    sides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> str:
    """The HTML of a report.

    Args:
        runs: the runs, with labels that tell them apart.
        extras: verdicts that belong to no run.
        folder: where the file will lie, so that links to suite files find them.
        problems: what could not be shown, and why.
        sides: which version each run belongs to, such as a git revision; by default found by what differs.
        environ: of the process; see :func:`lvmcheck.report.html.verdicts.link`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_fit,
    )
    environment.globals.update(WORDS, plural=plural, shown=shown)
    environment.filters.update(breakable=_breakable, bad=bad)
    environment.globals["href"] = lambda where: verdicts.link(where, folder, environ)
    script, styles = _asset("uplot.js") + "\n" + _asset("report.js"), _asset("uplot.css") + "\n" + _asset("report.css")
    context = {**_context(runs, extras, problems), "comparison": two_sides(runs, sides)}
    return environment.get_template("page.html.jinja").render(
        **context, script=script, styles=styles, script_digest=digest(script), version=__version__
    )


def _message(verdict: Verdict) -> str:
    return clean(message(verdict))


def _evidence(verdict: Verdict) -> list[str]:
    return [clean(line) for line in evidence_lines(verdict.finding)[:EVIDENCE]]


def _measured(verdict: Verdict) -> str:
    """In short; empty where the mark says it all."""
    return "" if unreached(verdict) else clean(measured_text(verdict), 40)


def _cause(cause: Diagnosis) -> str:
    return clean(f"{STANDINGS[cause.standing]}: {diagnosis_sentence(cause)}")


WORDS: dict[str, Any] = {
    "kind": kind,
    "kinds": KINDS,
    "mark": mark,
    "bad": bad,
    "message": _message,
    "evidence": _evidence,
    "measured": _measured,
    "where_asked": verdicts.where_asked,
    "cause_text": _cause,
    "cause_evidence": diagnosis_evidence,
    "ruled_out": ruled_out_text,
}
"""What the template says of verdicts and causes."""


def _fit(value: object) -> object:
    """Whatever text the template shows, without what is unfit; what is markup already was made of such text."""
    from markupsafe import Markup

    return clean(value, None) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(text: str) -> Any:
    """The text, escaped, with places where a narrow screen may break it: after separators in names."""
    from markupsafe import Markup, escape

    parts = re.split(r"(?<=[/_\[@])", one_line(text))
    return Markup("<wbr>").join(escape(part) for part in parts)


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def digest(script: str) -> str:
    """What the page's content security policy allows to run: this script and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _context(runs: Sequence[ReportRun], extras: Sequence[Extra], problems: Sequence[str]) -> dict[str, Any]:
    references, unread = settings.references_of(runs)
    metrics = list(curves.metric_figures(runs, references))
    groups: dict[str, list[Figure]] = {
        "metrics": metrics[:OPEN],
        "further": metrics[OPEN:],
        "shares": list(steps.share_figures(runs)),
        "steps": list(steps.step_figures(runs)),
        "speed": list(steps.speed_figures(runs)),
        "lags": list(data.lag_figures(runs)),
    }
    every = [figure for group in groups.values() for figure in group]
    pool = Pool(points_a_curve(sum(len(figure.curves) for figure in every)))
    drawn = [pool.figure(figure) for figure in every]
    palettes = {"light": palette(len(runs), dark=False), "dark": palette(len(runs), dark=True)}
    sets, other_sets = data.data_sets(runs)
    counts = verdicts.counts(runs, extras)
    chosen, other_settings = settings.settings_of(runs, references)
    named = [*(it.suite for it in runs), *(it.suite for it in extras)]
    suites = list(dict.fromkeys(clean(name, 60) for name in named if name))
    return {
        "title": ", ".join(suites[:3]) + (f" and {len(suites) - 3} others" if len(suites) > 3 else "")
        if suites
        else ", ".join(it.label for it in runs[:3]),
        "profiles": ", ".join(dict.fromkeys(it.profile for it in runs if it.profile)),
        "runs": runs,
        "problems": [*problems, *unread],
        "counts": counts,
        "decided": bool(counts.keys() - {"unreached", "pending", "not-run"}),
        "causes": verdicts.causes(runs),
        "failures": verdicts.failures(runs, extras),
        "warnings": verdicts.warnings(runs, extras),
        "unreached": verdicts.not_reached(runs),
        "tables": verdicts.tables(runs, extras),
        "figures": groups,
        "left_out_metrics": curves.metric_names(runs)[1],
        "only_term": steps.only_term(runs),
        "histograms": generation.histograms(runs),
        "samples": generation.samples(runs),
        "data_sets": sets,
        "other_sets": other_sets,
        "settings": chosen,
        "other_settings": other_settings,
        "references": references,
        "places": settings.places_of(runs),
        "thinned": (pool.thinned_from, pool.limit) if pool.thinned_from else None,
        "palettes": palettes,
        "drawn": {"runs": [it.label for it in runs], "axes": pool.axes, "figures": drawn, "palettes": palettes},
    }


def write_report(
    target: Path,
    runs: Sequence[ReportRun],
    extras: Sequence[Extra] = (),
    *,
    problems: Sequence[str] = (),
    sides: Sequence[str] = (),
) -> int:
    """Write the report; a reader sees the old file or the new one, never a part.

    Returns:
        Its size in bytes.

    Raises:
        InputError: it cannot be written there.
    """
    body = render(runs, extras, folder=target.parent, problems=problems, sides=sides).encode("utf-8", "replace")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(body)
        temporary.replace(target)
    except OSError as problem:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(target, f"cannot be written: {problem.strerror or problem}") from None
    return len(body)
