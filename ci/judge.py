"""Trains and judges what a requirements file asks for, then decides: one command for any scheduler.

    python ci/judge.py --require ci/gate.toml

It calls pytest once for each profile and device that is asked for, writes the reports of each call, and hands the JSON
reports to the gate, with a nonce that it makes and hands to each session. Exit codes are the
gate's. Further arguments go to pytest.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import gate
from gate_files import read_rules
from gate_finding import Unusable
from gate_git import resolved

HERE = Path(__file__).parent


def calls(require: Path, reports: Path) -> dict[Path, list[str]]:
    """JSON report to be written -> the pytest command that writes it.

    Raises:
        Unusable: the requirements cannot be used.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for rule in read_rules(require)["suite"]:
        groups.setdefault((rule["profile"], rule["device"]), []).append(rule["file"])
    found = {}
    for (profile, device), files in groups.items():
        report = reports / f"{profile}-{device}.json"
        others = [f"--lvm-markdown={report.with_suffix('.md')}", f"--junitxml={report.with_suffix('.xml')}"]
        options = [f"--lvm-profile={profile}", f"--lvm-device={device}", f"--lvm-json={report}", *others]
        found[report] = [sys.executable, "-m", "pytest", *files, *options]
    return found


def self_test(require: Path, reports: Path, nonce: str) -> list[Path]:
    """Run the self-tests that are asked for; the files that they wrote."""
    rules = read_rules(require)
    found: list[Path] = []
    for rule in rules["suite"]:
        if rule.get("selftest", rules["selftest"]) > 0:
            found.append(reports / f"selftest-{len(found)}.json")
            words = [sys.executable, "-m", "lvmcheck", "selftest", rule["file"], "--profile", rule["profile"], "--json"]
            with found[-1].open("w") as file:  # the gate reads how it ended in the file
                subprocess.run(words, env={**os.environ, gate.NONCE: nonce}, stdout=file, check=False)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="judge.py", description="train, judge and decide")
    parser.add_argument("--require", type=Path, default=HERE / "gate.toml", metavar="FILE", help="what must pass")
    parser.add_argument("--waivers", type=Path, metavar="FILE", help="failures that are accepted for a time")
    parser.add_argument("--reports", type=Path, default=Path(".lvmcheck/reports"), metavar="DIR")
    parser.add_argument("--base", metavar="REF", help='the branch that the commit goes to ("none": no other branch)')
    options, more = parser.parse_known_args(arguments)
    try:
        commands = calls(options.require, options.reports)
    except Unusable as problem:
        print(f"judge: {problem}", file=sys.stderr)
        return 2
    if options.base not in (None, gate.NO_BASE):  # as it is now: what the sessions run may move a branch
        options.base = resolved(options.base) or options.base
    nonce = os.environ.get(gate.NONCE) or secrets.token_hex(16)
    for command in commands.values():
        subprocess.run(
            [*command, *more], env={**os.environ, gate.NONCE: nonce}, check=False
        )  # the gate reads how it ended in the report
    selftests = [f"--selftest={path}" for path in self_test(options.require, options.reports, nonce)]
    waivers = ["--waivers", str(options.waivers)] if options.waivers else []
    base = ["--base", options.base] if options.base else []
    return gate.main(
        [*map(str, commands), "--require", str(options.require), "--nonce", nonce, *base, *waivers, *selftests]
    )


if __name__ == "__main__":
    sys.exit(main())
