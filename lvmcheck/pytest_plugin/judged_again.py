"""Judges the runs of a session anew where no test and no conftest has run: what a gate's session is held to.

``python -m lvmcheck.pytest_plugin.judged_again`` reads from its input which runs, and prints the checks that passed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvmcheck.launch.executed import OWN

LIMIT = 600.0
FRONT = '{\n "passed": ['
"""Beginning of the answer, behind whatever a check prints."""
ANOTHER = "another process does not judge the run of this check as passed"
GOOD = ("passed", "warning")


@dataclass(frozen=True)
class Judge:
    """Where and how another process judges.

    Args:
        top: the folder from which a report names its files; ``start`` that in which pytest was started.
        env: the environment with which the session began; ``python`` what runs it.
        path: where else modules are looked for, behind the usual places, once it has begun.
        limit: seconds that a check of the user's own may take for one look.
    """

    top: Path
    start: Path
    env: Mapping[str, str]
    path: Sequence[str]
    limit: float
    python: str = sys.executable

    def disputes(self, suites: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """Checks that the suites of a report call passed and another process does not: node and what is wrong."""
        listed = [suite for suite in suites if not {*suite["overridden"]} - {"device"}]  # a gate refuses others
        if not listed:
            return []
        body = {"path": [str(self.start / place) for place in self.path], "suites": [*map(self._asked, listed)]}
        command = [self.python, "-P", "-m", "lvmcheck.pytest_plugin.judged_again"]
        own = {"PYTHONPATH": os.pathsep.join(filter(None, [str(OWN.parent), self.env.get("PYTHONPATH", "")]))}
        try:
            done = subprocess.run(
                command,
                input=json.dumps(body),
                cwd=self.start,
                env={**self.env, **own},
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=True,
            )
            said = json.loads(done.stdout[done.stdout.rindex(FRONT) :])["passed"]
        except (OSError, subprocess.SubprocessError, ValueError) as problem:
            return [(command[-1], str(problem))]
        known = {tuple(words) for words in said}
        return [(node, ANOTHER) for key, node in self._claimed(suites).items() if key not in known]

    def _asked(self, suite: Mapping[str, Any]) -> dict[str, Any]:
        runs = {str(run["seed"]): str(self.top / run["folder"]) for run in suite["runs"] if run["folder"]}
        return {"path": str(self.top / suite["file"]), "profile": suite["profile"], "runs": runs, "limit": self.limit}

    def _claimed(self, suites: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], str]:
        return {
            (str(self.top / suite["file"]), str(check["verdict"]["seed"]), check["verdict"]["name"]): check["node"]
            for suite in suites
            for check in suite["checks"]
            if check["pytest"] == "passed"
            and check["verdict"]["outcome"]["finding"] is not None
            and check["verdict"]["outcome"]["status"] in GOOD
        }


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
    return outcome.status.value in GOOD


def main() -> None:
    from lvmcheck.text.say import say_json

    body = json.load(sys.stdin)
    sys.path += [place for place in body["path"] if place not in sys.path]
    found = [word for one in body["suites"] for word in passed(**one)]
    say_json({"passed": found})


if __name__ == "__main__":
    main()
