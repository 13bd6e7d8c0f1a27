"""What ``check`` and ``diagnose`` share: which checks judge the run, what is printed of them, and the exit code."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.checks.finding import Asked, Status, Verdict
from lvmcheck.checks.protocol import evaluate
from lvmcheck.checks.wording import asked_text, evidence_lines, plural, spaced, verdict_text
from lvmcheck.commands._exit import FAILED, PASSED
from lvmcheck.commands._reading import add_run, make_importable
from lvmcheck.commands._remarks import extent, print_remarks
from lvmcheck.errors import InputError
from lvmcheck.report.key_figures import last_figures
from lvmcheck.run.events import Data
from lvmcheck.run.locks import writer_is_gone
from lvmcheck.run.view import Run
from lvmcheck.text.fit import one_line
from lvmcheck.text.say import complain, say

if TYPE_CHECKING:
    from lvmcheck.suite import Suite

SILENT = (Status.NOT_APPLICABLE, Status.NOT_RECORDED)
"""Listed with ``--verbose`` only; so are the passes of checks that nobody asked for."""
END = "run_completed"
"""Passes on a run that recorded nothing and ended, so it shows nothing of the training."""
BLAS = "OPENBLAS_NUM_THREADS"
BAD = (Status.FAILED, Status.ERROR)
ANOTHER = "{measured} of {total} settings of the run differ from the suite: it is a run of another config"


def add_judging(parser: argparse.ArgumentParser) -> None:
    """A run and the checks that judge it."""
    add_run(parser)
    parser.add_argument(
        "--suite", type=Path, help="suite (file or folder) whose checks to use instead of the universal ones"
    )
    parser.add_argument("--profile", help="profile of the suite (default: the run's own)")
    parser.add_argument(
        "--data-name", metavar="NAME", help="with --suite: what the run was trained on, where it does not say so itself"
    )
    parser.add_argument("--strict", action="store_true", help="count warnings as failures")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="list what passed, did not apply or was not recorded, too"
    )


def verdicts_on(run: Run, options: argparse.Namespace) -> list[Verdict]:
    """Verdicts by the suite's checks where one is named, else by the universal ones."""
    _numpy_without_threads()
    suite, judged = suite_of(options, run), as_it_stands(run)
    if suite is None:
        from lvmcheck.run.weights import with_weights

        return evaluate(with_weights(judged)[0])
    from lvmcheck.launch.verdicts import verdict_of
    from lvmcheck.suite.judging import judge_entry

    differs = another_config(run, suite)
    judged, run = (_as_asked(_on_data(each, options.data_name), suite) for each in (judged, run))
    known = judged if judged.death is not None else run  # what a suite asks of a run that goes on is pending
    return [*differs, *(verdict_of(suite, entry, judge_entry(entry, known), run.seed) for entry in suite.checks)]


def another_config(run: Run, suite: Suite) -> list[Verdict]:
    """A failure where the run's config has other values than the suite asks for: such a run is no pass of the suite.

    Keys that the run does not record, or in another form (a name where the suite has a table), are not compared.
    """
    from lvmcheck.checks.protocol import load_check
    from lvmcheck.statistics.differences import flat

    got = dict(flat(run.config))
    asked = {key: value for key, value in flat(suite.config) if key in got and _one_form(value, got[key])}
    if not asked:
        return []
    check = load_check("config_matches")
    outcome = check(expected=asked).judge(run)  # type: ignore[call-arg]
    if outcome.finding is None or outcome.status is not Status.FAILED:
        return []
    finding = replace(outcome.finding, phrase=ANOTHER)
    told = replace(outcome, finding=finding)
    where = Asked(file=str(suite.path), line=suite.where("run")[1])
    return [Verdict(name=f"{check.name()}[suite]", check=check.name(), outcome=told, seed=run.seed, asked=where)]


def _one_form(one: object, other: object) -> bool:
    numbers = all(isinstance(it, int | float) and not isinstance(it, bool) for it in (one, other))
    return numbers or type(one) is type(other)


def suite_of(options: argparse.Namespace, run: Run) -> Suite | None:
    """The suite that is named, in the profile that is named or that the run has; None where none is."""
    if options.suite is None:
        if options.data_name is not None:
            raise InputError("--data-name", "expected --suite beside it: only bounds of suites are bound to data")
        return None
    from lvmcheck.suite import load_suite, suite_file

    make_importable()
    own = run.info.get("profile")
    profile = options.profile or (own if isinstance(own, str) else None)
    return load_suite(suite_file(options.suite), profile=profile)


def _on_data(run: Run, name: str | None) -> Run:
    """The run with the name of its data, so that floors that were chosen on them decide.

    Raises:
        InputError: the run itself names other data.
    """
    if name is None or run.data_name == name:
        return run
    if run.data_name is not None:
        raise InputError("--data-name", f"the run says that it was trained on {run.data_name!r}, got {name!r}")
    return replace(run, events=(*run.events[:1], Data(name=name, fingerprint=""), *run.events[1:]))


def _as_asked(run: Run, suite: Suite) -> Run:
    """The run with the epochs that the suite asks for, where fewer were planned: its last one is not the final one."""
    asked = suite.config.get("epochs")
    if run.planned_epochs is None or type(asked) is not int or asked <= run.planned_epochs:
        return run
    return replace(run, info={**run.info, "config": {**run.info.get("config", {}), "epochs": asked}})


def _numpy_without_threads() -> None:
    """Import numpy so that its BLAS starts no thread for every core: judging multiplies no matrices."""
    before = os.environ.get(BLAS)
    os.environ.setdefault(BLAS, "1")
    import numpy  # noqa: F401

    if before is None:
        del os.environ[BLAS]  # what is started from here has its own


def as_it_stands(run: Run) -> Run:
    """A run without a completion record, judged as far as it is recorded; dead where nobody writes it any more."""
    if run.over:
        return run
    if run.path is not None and writer_is_gone(run.path):
        return replace(run, death="it has no completion record, and its process is gone")
    return replace(run, done={"status": "open", "reason": "it has no completion record"})


def print_verdicts(verdicts: Iterable[Verdict], *, verbose: bool = False) -> None:
    """One line a verdict, with the evidence of those that failed or warned."""
    for item in verdicts:
        if not verbose and (item.status in SILENT or (item.asked is None and item.status is Status.PASSED)):
            continue
        say(verdict_text(item))
        bad = item.status in (*BAD, Status.WARNING)
        for line in evidence_lines(item.finding) if bad else []:
            say(f"    {line}")
        if item.asked is not None and bad:
            say(f"    required by {asked_text(item.asked, item.source)}")


def print_cause(run: Run, verdicts: Sequence[Verdict]) -> None:
    """The first cause of what failed, or warned, in a line; :mod:`lvmcheck.commands.diagnose` has its evidence."""
    if not any(item.status in (Status.FAILED, Status.WARNING) for item in verdicts):
        return
    from lvmcheck.causes.protocol import diagnose
    from lvmcheck.causes.wording import STANDINGS, diagnosis_sentence

    for cause in diagnose(run, verdicts)[:1]:
        say(f"{STANDINGS[cause.standing]}: {diagnosis_sentence(cause)} [{cause.name}]")
        if cause.also:
            say(f"    looks the same: {', '.join(map(spaced, cause.also))}")
        say(f"fix: {one_line(cause.fix)}")
        say(f"next: {one_line(cause.next)}")


def print_rest(run: Run, verdicts: Sequence[Verdict], *, verbose: bool, counted: bool = False) -> None:
    """Remarks, how many checks passed and did not apply, and how far a run was judged that may go on.

    Args:
        counted: the checks that passed have been told already.
    """
    print_remarks(run, verdicts, verbose=verbose)
    silent = sum(item.status in SILENT for item in verdicts)
    if silent and not verbose:
        passed, extents = sum(item.status is Status.PASSED for item in verdicts), extent(run)
        sound = not any(item.status in (*BAD, Status.WARNING) for item in verdicts) and not run.curves.unrecognised
        found = "" if counted else f"no problem found{extents}: " if sound else ""
        figures = last_figures(run) if found else ""
        passes = "" if counted else f"{plural(passed, 'check')} passed{'' if sound else extents}, "
        passes = f"{figures}; {passes}" if figures else passes
        say(f"{found}{passes}{silent} did not apply or lacked data (-v lists them)")
    waiting = sum(item.status is Status.PENDING for item in verdicts)
    if waiting and not run.over:
        planned = f" of {run.planned_epochs}" if run.planned_epochs else ""
        where = f"epoch {run.last_epoch}{planned}" if run.last_epoch else f"step {run.step}"
        say(f"no completion record: judged up to {where}, {plural(waiting, 'check')} pending")


def exit_code(verdicts: Sequence[Verdict], *, strict: bool) -> int:
    """FAILED where a check failed or could not be judged (or warned, with ``strict``), or none evaluated any data, or a
    suite's check is still pending: what a suite asks for is not there yet.
    """
    bad = (*BAD, Status.WARNING) if strict else BAD
    if any(item.status in bad or (item.asked is not None and item.status is Status.PENDING) for item in verdicts):
        return FAILED
    if not any(item.outcome.evaluated and item.check != END for item in verdicts):
        complain("no check could be evaluated")
        return FAILED
    return PASSED
