"""The session's figures in OpenMetrics text format, for whatever scrapes or pushes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.report.machine.session import SessionReport, SuiteReport
from lvmcheck.text.fit import one_line

Sample = tuple[Mapping[str, str], float]


def openmetrics(report: SessionReport) -> str:
    """Gauges by suite, profile, device, seed and check; a value that was not measured has no sample."""
    checks = [(_labels(suite, it.verdict), it.verdict) for suite in report.suites for it in suite.checks]
    judged = [(at, it) for at, it in checks if it.status not in (Status.NOT_APPLICABLE, Status.NOT_RECORDED)]
    passed = [(at, it.status in (Status.PASSED, Status.WARNING)) for at, it in judged]
    findings = [(at, it.finding) for at, it in checks if it.finding is not None]
    numbers = [(at, it.number) for at, it in findings if is_number(it.measured)]
    margins = [(at, it.margin) for at, it in findings if it.margin is not None]
    families: list[tuple[str, str, list[Sample]]] = [
        ("lvmcheck_check_passed", "1 if the check passed, 0 if not", [*passed]),
        ("lvmcheck_check_warning", "1 if the check warned", [(at, it.status is Status.WARNING) for at, it in judged]),
        ("lvmcheck_check_measured", "what the check measured", [*numbers]),
        ("lvmcheck_check_margin", "distance to the nearest bound, negative is a miss", [*margins]),
        ("lvmcheck_run_epochs", "epochs that the run has trained", list(_epochs(report))),
        ("lvmcheck_session_seconds", "duration of the session", [({}, report.seconds)]),
    ]
    head = {"version": report.lvmcheck, "status": report.status, "commit": report.git.commit if report.git else ""}
    lines = ["# TYPE lvmcheck_session info", f"lvmcheck_session_info{_braces(head)} 1"]
    for name, about, samples in families:
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {about}"]
        lines += [f"{name}{_braces(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _labels(suite: SuiteReport, verdict: Verdict) -> dict[str, str]:
    where = {"suite": suite.name, "profile": suite.profile, "device": suite.device}
    return {**where, "seed": str(verdict.seed), "check": verdict.name}


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _epochs(report: SessionReport) -> Iterator[Sample]:
    for suite in report.suites:
        for run in suite.runs:
            where = {"suite": suite.name, "profile": suite.profile, "device": run.used_device or run.device}
            yield {**where, "seed": str(run.seed)}, run.last_epoch


def _braces(labels: Mapping[str, str]) -> str:
    listed = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{listed}}}" if listed else ""


def _escaped(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))
