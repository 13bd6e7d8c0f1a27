"""The session's figures in OpenMetrics text format, for whatever scrapes or pushes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lvmcheck.report.machine.session import CheckReport, SessionReport, SuiteReport
from lvmcheck.report.machine.words import seed_words

Sample = tuple[Mapping[str, str], float | str]
FINITE = {"NaN": "NaN", "Infinity": "+Inf", "-Infinity": "-Inf"}


def openmetrics(report: SessionReport) -> str:
    """Gauges by suite, profile, device, seed and check; a value that was not measured has no sample."""
    checks = [(_labels(suite, check), check) for suite in report.suites for check in suite.checks]
    judged = [(labels, check) for labels, check in checks if check.status != "not applicable"]
    families: list[tuple[str, str, list[Sample]]] = [
        ("lvmcheck_check_passed", "1 if the check passed, 0 if not", [(at, c.status == "passed") for at, c in judged]),
        ("lvmcheck_check_measured", "what the check measured", _figures((at, c.measured) for at, c in checks)),
        (
            "lvmcheck_check_margin",
            "distance to the bound, negative is a miss",
            _figures((at, c.margin) for at, c in checks),
        ),
        ("lvmcheck_run_epochs", "epochs that the run has trained", list(_epochs(report))),
        ("lvmcheck_session_seconds", "duration of the session", [({}, report.seconds)]),
    ]
    head = {"version": report.lvmcheck, "status": report.status, "commit": report.git.commit if report.git else ""}
    lines = ["# TYPE lvmcheck_session info", f"lvmcheck_session_info{_braces(head)} 1"]
    for name, about, samples in families:
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {about}"]
        lines += [f"{name}{_braces(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _labels(suite: SuiteReport, check: CheckReport) -> dict[str, str]:
    where = {"suite": suite.name, "profile": suite.profile, "device": suite.device}
    return {**where, "seed": seed_words(check.seed).removeprefix("seed"), "check": check.check}


def _figures(values: Iterable[tuple[Mapping[str, str], float | str | None]]) -> list[Sample]:
    return [
        (labels, value)
        for labels, value in values
        if value is not None and (not isinstance(value, str) or value in FINITE)
    ]


def _epochs(report: SessionReport) -> Iterator[Sample]:
    for suite in report.suites:
        for run in suite.runs:
            where = {"suite": suite.name, "profile": suite.profile, "device": run.used_device or run.device}
            yield {**where, "seed": str(run.seed)}, run.last_epoch


def _braces(labels: Mapping[str, str]) -> str:
    said = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float | str) -> str:
    return FINITE[value] if isinstance(value, str) else repr(float(value))
