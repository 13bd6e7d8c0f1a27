"""Judges the runs of a session anew where no test and no conftest has run: what a gate's session is held to.

``python -m lvmcheck.pytest_plugin.judged_again`` reads from its input which runs, and prints the checks that passed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lvmcheck.report.item import good
from lvmcheck.report.machine.session import SuiteReport, Trouble

LIMIT = 600.0
FRONT = '{\n "passed": ['
"""Beginning of the answer, behind whatever a check prints."""
ANOTHER = "another process does not judge the run of this check as passed"


def disputed(
    suites: Mapping[str, SuiteReport], top: Path, start: Path, env: Mapping[str, str], limit: float
) -> list[Trouble]:
    """Checks that this session calls passed and a process of its own does not.

    Args:
        suites: of the session, with their verdicts, by the path of their file.
        top: the folder from which the report names its files; ``start`` that in which pytest was started.
        env: the environment with which the session began.
        limit: seconds that a check of the user's own may take for one look.
    """
    body = [
        {
            "path": path,
            "profile": suite.profile,
            "runs": {run.seed: str(top / run.folder) for run in suite.runs if run.folder},
            "limit": limit,
        }
        for path, suite in suites.items()
        if not {*suite.overridden} - {"device"}  # a gate refuses others
    ]
    if not body:
        return []
    places = os.pathsep.join(str(start / place) for place in sys.path)
    command = [sys.executable, "-P", "-m", "lvmcheck.pytest_plugin.judged_again"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(body),
            cwd=start,
            env={**env, "PYTHONPATH": places},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=True,
        )
        said = json.loads(done.stdout[done.stdout.rindex(FRONT) :])["passed"]
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        return [Trouble(where=command[-1], when="judging", message=str(problem))]
    known = {tuple(words) for words in said}
    claimed = {
        (path, str(check.verdict.seed), check.verdict.name): check.node
        for path, suite in suites.items()
        for check in suite.checks
        if check.pytest == "passed" and check.verdict.finding is not None and good(check.verdict)
    }
    return [Trouble(where=node, when="judging", message=ANOTHER) for key, node in claimed.items() if key not in known]


def passed(path: str, profile: str, runs: Mapping[str, str], limit: float) -> Iterator[tuple[str, str, str]]:
    """File, seed and name of each check that passes on the runs of a suite, judged from their records."""
    from lvmcheck.launch.plan import Plan, Settings
    from lvmcheck.launch.run_job import RunJob
    from lvmcheck.pytest_plugin.across import answer
    from lvmcheck.report.verdicts import SEEDS
    from lvmcheck.run import directory as rundir
    from lvmcheck.run.regular_file import read_json
    from lvmcheck.suite import load_suite

    suite = load_suite(Path(path), profile=profile)
    alone = tuple(entry for entry in suite.checks if entry.across is None)
    together = tuple(entry for entry in suite.checks if entry.across is not None)
    settings, jobs = Settings(home=Path(), root=Path.cwd(), session="", check_timeout=limit), []
    for seed, folder in sorted(runs.items(), key=lambda it: int(it[0])):
        job = RunJob(Plan(suite, int(seed), settings), suite.checks)
        failure = read_json(Path(folder) / rundir.FAILURE) or {}
        run = rundir.Follower(Path(folder), job.plan.stated).read()
        if run.done is None and "death" in failure:
            run = rundir.Follower(Path(folder), job.plan.stated).read(death=str(failure["death"]))
        job.run = run
        job._judge_all()
        jobs.append(job)
        yield from ((path, seed, entry.node) for entry in alone if _good(job.verdict(entry).outcome))
    for entry in together:
        if _good(answer(suite, entry, jobs)):
            yield path, SEEDS, entry.node


def _good(outcome: Any) -> bool:
    return outcome.status.value in ("passed", "warning")


def main() -> None:
    from lvmcheck.text.say import say_json

    found = [word for one in json.load(sys.stdin) for word in passed(**one)]
    say_json({"passed": found})


if __name__ == "__main__":
    main()
