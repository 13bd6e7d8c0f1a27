"""``lvmcheck check``: verdicts on a recorded run, or on one that goes on."""

from __future__ import annotations

import argparse

from lvmcheck.checks.verdict_json import verdict_json
from lvmcheck.commands._exit import INTERRUPTED
from lvmcheck.commands._judging import add_judging, exit_code, print_cause, print_rest, print_verdicts, verdicts_on
from lvmcheck.commands._reading import run_of
from lvmcheck.text.say import complain, say_json

HELP = "judge a recorded run"
EXAMPLE = "lvmcheck check fixtures/runs/amn_790k_attempt_2 --suite suites/amn_790k"
EXITS = {INTERRUPTED: "interrupted while it followed a run (--follow)"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_judging(parser)
    parser.add_argument("--json", action="store_true", help="verdicts as JSON")
    parser.add_argument(
        "--follow", action="store_true", help="show a run that goes on until it ends, then judge it; waits for it"
    )
    parser.add_argument(
        "--tag", action="store_true", help="write the verdicts as tags of the run, in W&B's cloud or an MLflow store"
    )
    parser.add_argument(
        "--alert",
        metavar="URL",
        action="append",
        default=[],
        help="send a message when a check fails (--follow) and when the run is judged, such as json://host/path for a"
        " webhook; may be repeated (extra alerts)",
    )


def run(options: argparse.Namespace) -> int:
    alerts = None
    if options.alert:
        from lvmcheck.report.alerts import Alerts

        alerts = Alerts(options.alert, "--alert")
    if options.follow:
        from lvmcheck.commands._following import follow

        try:
            follow(options, alerts)
        except KeyboardInterrupt:
            complain("no longer followed; the run is not touched")
            return INTERRUPTED
    recorded = run_of(options)
    verdicts = verdicts_on(recorded, options)
    if alerts is not None:
        alerts.ended(options.path.name, recorded.stopped_where() if recorded.over else "", verdicts)
    if options.tag:
        from lvmcheck.exporters.written_back import write_back

        complain(f"tagged {write_back(options.path, recorded, verdicts, kind=options.kind)}")
    if options.json:
        say_json([verdict_json(item) for item in verdicts])
    else:
        print_verdicts(verdicts, verbose=options.verbose)
        print_cause(recorded, verdicts)
        print_rest(recorded, verdicts, verbose=options.verbose)
    return exit_code(verdicts, strict=options.strict)
