"""``lvmcheck diagnose``: root causes of a run, by standing of their evidence."""

from __future__ import annotations

import argparse

from lvmcheck.commands._judging import SILENT, add_judging, exit_code, print_rest, print_verdicts, verdicts_on
from lvmcheck.commands._reading import run_of
from lvmcheck.text.say import say, say_json

HELP = "name the causes of a bad run"
EXAMPLE = "lvmcheck diagnose fixtures/runs/amn_790k_attempt_2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_judging(parser)
    parser.add_argument("--json", action="store_true", help="causes as JSON")


def run(options: argparse.Namespace) -> int:
    from lvmcheck.causes.protocol import diagnose
    from lvmcheck.report.diagnosis import screen, screen_json, sound
    from lvmcheck.run.event_lines import spell

    recorded = run_of(options)
    verdicts = verdicts_on(recorded, options)
    causes = diagnose(recorded, verdicts)
    if options.json:
        say_json(spell(screen_json(recorded, causes, verdicts)))
    else:
        say(*screen(recorded, causes, verdicts))
        if options.verbose:
            print_verdicts([item for item in verdicts if item.status in SILENT], verbose=True)
        print_rest(recorded, verdicts, verbose=options.verbose, counted=sound(causes, verdicts))
    return exit_code(verdicts, strict=options.strict)
