"""Asks another tool about training logs, with its default settings; runs in that tool's environment, without lvmcheck.

    python suites/gallery/peer_driver.py TOOL < paths

One path a line in, one JSON object a line out: ``red`` (the tool's own failing exit code, or severity where it has no
command), ``warned`` (a milder finding), ``findings`` by name and severity, ``error`` where it could not read the log.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

Answer = dict[str, Any]
Found = Iterable[tuple[str, str]]


def called(main: Callable[..., Any], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, JSON from stdout (None where there is none) and stderr of a command, called in this process."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["tool", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main()
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = before
    if isinstance(code, str):  # sys.exit("message") prints it and ends with 1
        return 2, None, code
    try:
        return int(code or 0), json.loads(out.getvalue()), err.getvalue()
    except json.JSONDecodeError:
        return 2, None, err.getvalue() or out.getvalue()


def answer(red: bool, found: Found, warning: str) -> Answer:
    """Findings are (name, severity); ``warning`` is the severity that counts as one."""
    found = list(found)
    warned = not red and any(severity == warning for _, severity in found)
    return {"red": red, "warned": warned, "findings": [f"{name} ({severity})" for name, severity in found]}


def unread(problem: str) -> Answer:
    return {"red": False, "warned": False, "findings": [], "error": " ".join(problem.split())[:200]}


def runmedic(path: str) -> Answer:
    from runmedic.cli import main

    code, runs, problem = called(main, "diagnose", path, "--json", "--fail-on", "critical")
    if runs is None:
        return unread(problem)
    return answer(code == 1, ((item["check"], item["severity"]) for run in runs for item in run["findings"]), "warning")


def trainproof(path: str) -> Answer:
    from trainproof.cli import main

    code, said, problem = called(main, "doctor", path, "--json")
    if code > 1:
        return unread(problem)
    found = [(item["id"], item["level"]) for report in said["reports"] for item in report["findings"]]
    if any(name == "TP-NO-LOSS" for name, _ in found):  # exit 1, but it says nothing about the run
        return unread("no loss column")
    return answer(code == 1, (item for item in found if item[1] != "PASS"), "WARN")


def losslint(path: str) -> Answer:
    from losslint.cli import main

    code, said, problem = called(main, "check", path, "--format", "json")
    if code > 1:
        return unread(problem)
    return answer(code == 1, ((item["check"], item["severity"]) for item in said["findings"]), "warning")


def trainspotter(path: str) -> Answer:
    from trainspotter.cli import main

    code, said, problem = called(main, "analyze", path, "--output", "json", "--fail-on", "error")
    if code > 1:
        return unread(problem)
    return answer(code == 1, ((item["detector"], item["severity"]) for item in said["findings"]), "warning")


def gradsnitch(path: str) -> Answer:
    import gradsnitch as tool

    try:
        found = [(f"{item.code} {item.name}", item.severity) for item in tool.lint_csv(path)]
    except ValueError as problem:  # no loss column
        return unread(str(problem))
    return answer(any(severity == "error" for _, severity in found), found, "warning")


TOOLS = {tool.__name__: tool for tool in (runmedic, trainproof, gradsnitch, losslint, trainspotter)}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        try:
            reply = TOOLS[sys.argv[1]](line.rstrip("\n"))
        except Exception as problem:  # the tool's own crash is an answer about the tool
            reply = unread(f"{type(problem).__name__}: {problem}")
        print(json.dumps(reply), flush=True)
