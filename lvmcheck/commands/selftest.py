"""``lvmcheck selftest``: plants faults in a training run and shows which checks notice."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmcheck.commands._exit import FAILED, PASSED
from lvmcheck.errors import InputError
from lvmcheck.text.say import complain, say, say_json

if TYPE_CHECKING:
    from lvmcheck.selftest.training import Subject

HELP = "plant faults in a training run, one at a time, and show which check notices each"
EXAMPLE = "lvmcheck selftest suites/amn_790k --min-score 0.85"
EXITS = {
    PASSED: "every planted fault was noticed, or as many as --min-score asks for",
    FAILED: "the score is lower, or the unmodified run does not pass",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", help="a suite (file or folder), or a trainer as package.module:function")
    parser.add_argument("--profile", help="profile of the suite (default: smoke)")
    parser.add_argument("--seed", type=int, help="seed (default: the suite's first, or 0)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="with a trainer: its config, a JSON object")
    parser.add_argument("--faults", metavar="LIST", help="plant only these, such as no_update,lr_x100")
    parser.add_argument("--minutes", type=float, default=10.0, help="stop after this long (default 10)")
    parser.add_argument("--jobs", type=int, default=2, help="runs that train at a time (default 2)")
    parser.add_argument("--min-score", type=float, metavar="SHARE", help="least share of killed faults (default 1)")
    parser.add_argument("--dir", type=Path, default=Path(".lvmcheck"), help="folder of runs (default .lvmcheck)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the runs with their faults in this new folder")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def run(options: argparse.Namespace) -> int:
    from lvmcheck.run.event_lines import spell
    from lvmcheck.selftest.report import lines, to_json
    from lvmcheck.selftest.session import Session

    _check(options)
    subject = _subject(options)
    only = options.faults.split(",") if options.faults else None
    with tempfile.TemporaryDirectory(prefix="lvmcheck-selftest-", ignore_cleanup_errors=True) as temporary:
        home = (options.keep or Path(temporary)).resolve()
        test = Session(
            subject=subject, home=home, minutes=options.minutes, jobs=options.jobs, only=only, tell=complain
        ).perform()
    if options.json:
        from lvmcheck.report.machine.json_report import with_digest

        say_json(with_digest(spell({**to_json(test), **_origin(options)})))
    else:
        say(*lines(test))
    least = 1.0 if options.min_score is None else options.min_score
    return PASSED if not test.red and test.score is not None and test.score >= least else FAILED


def _origin(options: argparse.Namespace) -> dict[str, Any]:
    """Of what, in which session and at which commit: what a gate asks for."""
    from lvmcheck.launch.executed import NONCE
    from lvmcheck.report.machine import git
    from lvmcheck.suite import load_suite, suite_file

    found: dict[str, Any] = {"suite": "", "digest_of_suite": "", "profile": ""}
    if ":" not in options.target or Path(options.target).exists():
        path = suite_file(Path(options.target)).absolute()
        top = git.top(path.parent)
        shown = path.resolve().relative_to(top.resolve()) if top is not None else path
        suite = load_suite(path, profile=options.profile)
        digest = hashlib.sha256(suite.origin.text.encode()).hexdigest()
        found = {"suite": shown.as_posix(), "digest_of_suite": digest, "profile": suite.profile}
    state = git.look(Path.cwd())
    commit, dirty = (state.commit, state.dirty) if state is not None else ("", True)
    nonce = os.environ.get(NONCE, "")
    return {**found, "nonce": nonce, "commit": commit, "dirty": dirty, "whole": options.faults is None}


def _check(options: argparse.Namespace) -> None:
    if options.min_score is not None and not 0 <= options.min_score <= 1:
        raise InputError("--min-score", f"expected a share from 0 to 1, got {options.min_score:g}")
    if not 0 < options.minutes < 10_000:
        raise InputError("--minutes", f"expected a number above 0, got {options.minutes:g}")
    if options.jobs < 1:
        raise InputError("--jobs", f"expected an integer >= 1, got {options.jobs}")
    if options.keep is not None and options.keep.exists():
        raise InputError(options.keep, "already exists", fix="Give a new folder.")


def _subject(options: argparse.Namespace) -> Subject:
    from lvmcheck.commands._reading import make_importable
    from lvmcheck.selftest.subject import of_suite, of_trainer
    from lvmcheck.suite import load_suite, suite_file

    make_importable()
    path = Path(options.target)
    if ":" in options.target and not path.exists():
        return of_trainer(options.target, _config(options.config), options.seed or 0)
    if options.config is not None:
        raise InputError("--config", "a suite has its config in [run]", fix="Give a trainer, or leave it out.")
    return of_suite(load_suite(suite_file(path), profile=options.profile), options.seed, options.dir.absolute())


def _config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(path, f"cannot be read as JSON: {problem}") from None
    if not isinstance(body, dict):
        raise InputError(path, f"expected a JSON object, got {type(body).__name__}")
    return body
