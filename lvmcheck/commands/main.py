"""``lvmcheck``: judge runs and data, diagnose and explain from the command line.

Exit codes: 0 all passed, 1 something failed, 2 bad input, 3 internal error (141 when nobody reads what is printed).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lvmcheck import __version__
from lvmcheck.checks.finding import Status, Verdict, outcome_json
from lvmcheck.checks.protocol import check_names, evaluate, load_check, manual, usual_causes
from lvmcheck.commands import export as cli_export
from lvmcheck.commands import report as cli_report
from lvmcheck.commands import runs as cli_runs
from lvmcheck.commands import setup as cli_setup
from lvmcheck.commands._reading import add_reading, read_run
from lvmcheck.errors import InputError, nearest
from lvmcheck.run.events import spell
from lvmcheck.run.view import Run

PASSED, FAILED, BAD_INPUT, INTERNAL, NO_READER = 0, 1, 2, 3, 141
MARKS = {Status.PASSED: "✓", Status.FAILED: "✗", Status.ERROR: "!", Status.NOT_APPLICABLE: "–", Status.PENDING: "…"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ is no internal error
    options = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except InputError as problem:
        print(problem, file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return NO_READER
    except Exception as problem:
        print(f"internal error: {type(problem).__name__}: {problem}", file=sys.stderr)
        return INTERNAL


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lvmcheck", description="pytest for training runs")
    top.add_argument("--version", action="version", version=f"lvmcheck {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, prog="lvmcheck")  # given, or shutil is imported
    check = commands.add_parser("check", help="judge a recorded run")
    add_run(check)
    check.add_argument("--suite", type=Path, help="suite.toml whose checks to use (default: the universal checks)")
    check.add_argument("--profile", help="profile of the suite")
    check.add_argument("--json", action="store_true", help="verdicts as JSON")
    check.set_defaults(command=run_check)
    diagnose = commands.add_parser("diagnose", help="name the likeliest causes of a bad run")
    add_run(diagnose)
    diagnose.add_argument("--json", action="store_true", help="causes as JSON")
    diagnose.set_defaults(command=run_diagnose)
    gate = commands.add_parser("gate", help="judge data before training on them")
    gate.add_argument("path", help="vectors: a folder, .npz, .npy, .parquet or .jsonl")
    gate.add_argument("--reference", default="", metavar="PATH", help="a corpus that the data should contain")
    gate.add_argument("--ood", action="append", default=[], metavar="PATH", help="an OOD set (may be repeated)")
    gate.add_argument("--expected-articles", type=int, metavar="N", help="how many articles there should be")
    gate.add_argument("--texts", default="", metavar="PATH", help="texts of the rows: .jsonl or .txt, gzipped or not")
    gate.add_argument("--golden", default="", metavar="PATH", help="golden vectors: a folder or .npz")
    gate.add_argument("--encoder", default="", metavar="NAME", help="what made the vectors, to encode texts again")
    gate.add_argument("--context", type=int, default=5, metavar="N", help="chunks before the target (default: 5)")
    gate.add_argument("--json", action="store_true", help="verdicts as JSON")
    gate.set_defaults(command=run_gate)
    listing = commands.add_parser("list", help="what exists")
    listing.add_argument("what", choices=("checks", "causes"))
    listing.set_defaults(command=run_list)
    explain = commands.add_parser("explain", help="the manual page of a check")
    explain.add_argument("check", help="name of a check, such as cosine_floor")
    explain.set_defaults(command=run_explain)
    cli_runs.add_commands(commands)
    cli_setup.add_commands(commands)
    cli_report.add_commands(commands)
    cli_export.add_commands(commands)
    return top


def add_run(command: argparse.ArgumentParser) -> None:
    """Arguments that say which run is meant, for every command that reads one."""
    command.add_argument("path", type=Path, help="a run directory, or a run of another logger (docs/readers.md)")
    add_reading(command)


def run_of(options: argparse.Namespace) -> Run:
    """The run that :func:`add_run`'s arguments name."""
    return read_run(options.path, options)


def verdicts_of(options: argparse.Namespace) -> list[Verdict]:
    """Verdicts on the run at ``options.path`` by the suite's checks, or the universal ones."""
    run = run_of(options)
    if options.suite is None:
        return evaluate(run)
    from lvmcheck.checks.protocol import judged
    from lvmcheck.launch.plan import judge_entry
    from lvmcheck.suite import load_suite

    cli_runs.importable()
    recorded = run.info.get("profile")
    suite = load_suite(options.suite, profile=options.profile or (recorded if isinstance(recorded, str) else None))
    return [
        replace(
            judged(entry.check, judge_entry(entry, run), run, asked=(suite.path, entry.line), source=entry.source),
            check=entry.node,  # its own name, where it has one: two floors on one metric must not look alike
        )
        for entry in suite.checks
    ]


def run_check(options: argparse.Namespace) -> int:
    return report(verdicts_of(options), as_json=options.json)


def run_gate(options: argparse.Namespace) -> int:
    from lvmcheck.launch.gate import gate_data

    keys = ("path", "ood", "reference", "texts", "golden", "encoder", "context")
    config = {key: getattr(options, key) for key in keys}
    run, found = gate_data(config, expected=options.expected_articles)
    if not options.json:
        print(f"{run.data_name}: {run.facts['train_windows']:,} windows to train on, split {run.facts['split']}")
    return report(found, as_json=options.json, evidence=True)


def report(found: list[Verdict], *, as_json: bool, evidence: bool = False) -> int:
    """Print verdicts, one a line with the figures of the failed ones (or of all), and return the exit code."""
    if as_json:
        print(json.dumps(spell([verdict_json(verdict) for verdict in found]), indent=1, allow_nan=False))
    else:
        for verdict in found:
            print(f"{MARKS[verdict.status]} {verdict.check}  {verdict.outcome.sentence()}")
            finding = verdict.outcome.finding
            if evidence and finding is not None:
                shown = finding.evidence if verdict.status is Status.FAILED else finding.evidence[:1]
                print("".join(f"    {line}\n" for line in shown), end="")
            asked = verdict.asked_for()
            if asked and verdict.status in (Status.FAILED, Status.ERROR):
                print(f"    asked for in {asked}")
    bad = {Status.FAILED, Status.ERROR, Status.PENDING}
    if not any(verdict.status is Status.PASSED for verdict in found):
        print("nothing passed: no check could be evaluated", file=sys.stderr)
        return FAILED
    return FAILED if any(verdict.status in bad for verdict in found) else PASSED


def verdict_json(verdict: Verdict) -> dict[str, object]:
    body = outcome_json(verdict.outcome)
    return {"check": verdict.check, "use": verdict.use, "seed": verdict.seed, "asked": verdict.asked_for(), **body}


def run_diagnose(options: argparse.Namespace) -> int:
    from lvmcheck.causes.protocol import diagnose
    from lvmcheck.report.diagnosis import diagnosis_json, screen
    from lvmcheck.run.weights import with_weights

    run = run_of(options)
    verdicts = evaluate(with_weights(run)[0])
    found = diagnose(run, verdicts)
    if options.json:
        print(json.dumps(spell(diagnosis_json(run, found, verdicts)), indent=1, allow_nan=False))
    else:
        print("\n".join(screen(run, found, verdicts)))
    failed = any(verdict.status in (Status.FAILED, Status.ERROR) for verdict in verdicts)
    return FAILED if found or failed else PASSED


def run_list(options: argparse.Namespace) -> int:
    if options.what == "checks":
        for name in check_names():
            print(f"{name:24} {manual(load_check(name))['what'].splitlines()[0]}")
        return PASSED
    from lvmcheck.causes.protocol import cause_names, load_cause

    for name in cause_names():
        print(f"{name:24} {manual_line(load_cause(name))}")
    return PASSED


def manual_line(thing: object) -> str:
    return (getattr(thing, "__doc__", None) or "").strip().splitlines()[0]


def run_explain(options: argparse.Namespace) -> int:
    if options.check not in check_names() and ":" not in options.check:
        raise InputError(f"check {options.check!r}", "no such check", fix=nearest(options.check, check_names()))
    kind = load_check(options.check)
    for heading, text in manual(kind).items():
        if heading == "what":
            print(f"{kind.use()}\n\n{text}")
        elif heading == "usual causes":
            print("\nUsual causes\n" + "\n".join(f"  - {cause}" for cause in usual_causes(kind)))
        else:
            print(f"\n{heading.capitalize()}\n" + "\n".join(f"  {line}" for line in text.splitlines()))
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
