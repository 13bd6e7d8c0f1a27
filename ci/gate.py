"""Decides whether a commit may pass, from JSON reports of lvmcheck alone: python ci/gate.py REPORT.json ...

Standard library only: it runs where nothing is installed, and takes nothing from the code that it judges. Exit codes:
0 accepted, 1 refused (with the reasons), 2 its own requirements or waivers cannot be used.

The digest of a report protects against accidents and careless edits, not against somebody who can run code on the
runner: let this file and its requirements come from a branch that a pull request cannot change (ci/README.md).
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gate_files import Refused, Table, Unusable, read_report, read_rules, read_waivers

SCREEN, WIDTH = 30, 160
SEEDS = "seeds"
"""What stands in place of a seed where all seeds answer together."""
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
SKEW = datetime.timedelta(minutes=5)
WORDS = {0: "passed", 1: "failed"}


# -- deciding ----------------------------------------------------------------------------------------------------------
def decide(reports: Sequence[Table], rules: Table, waivers: Sequence[Table], commit: str, now: Any) -> Iterator[str]:
    """Every reason to refuse; none when the commit may pass."""
    yield from of_waivers(waivers, rules["max_waiver_days"], now)
    for report in reports:
        yield from of_session(report, commit, now, datetime.timedelta(hours=rules["max_age_hours"]))
        for suite in report["suites"]:
            required = [rule for rule in rules["suite"] if same(rule, suite)]
            yield from of_checks(suite, required[0] if required else None, waivers)
    for rule in rules["suite"]:
        found = [suite for report in reports for suite in report["suites"] if same(rule, suite)]
        if not found:
            others = {s["profile"] for report in reports for s in report["suites"] if s["file"] == rule["file"]}
            only = f", only {', '.join(sorted(others))}" if others else ""
            yield f"{rule['file']}: no report has it at profile {rule['profile']}{only}"
        for suite in found:
            yield from of_suite(suite, rule)


def status(check: Table) -> str:
    return str(check["verdict"]["outcome"]["status"])


def why(check: Table) -> object:
    return check["verdict"]["outcome"].get("why")


def epoch(check: Table) -> int:
    """The epoch of a finding; 0 where it belongs to none."""
    return (check["verdict"]["outcome"].get("finding") or {}).get("epoch") or 0


def same(rule: Table, suite: Table) -> bool:
    return bool((rule["file"], rule["profile"]) == (suite["file"], suite["profile"]))


def of_waivers(waivers: Sequence[Table], longest: int, now: Any) -> Iterator[str]:
    for waiver in waivers:
        who = f"waiver of {waiver['suite']} {waiver['check']} ({waiver['owner']})"
        left = (waiver["expires"] - now.date()).days
        if left < 0:
            yield f"{who}: expired on {waiver['expires']}"
        elif left > longest:
            yield f"{who}: expires in {left} days, at most {longest} are allowed"


def of_session(report: Table, commit: str, now: Any, oldest: datetime.timedelta) -> Iterator[str]:
    """What is wrong with a session as a whole."""
    tests, status, code = report["tests"], report["status"], report["exit_status"]
    yield from of_commit(report, commit)
    if WORDS.get(code) != status:
        yield f"the session ended as {status!r} (exit status {code})"
    try:
        began, ended = (datetime.datetime.fromisoformat(report[key]) for key in ("started", "ended"))
        if not began <= ended <= now + SKEW:
            yield f"the session ran from {report['started']} to {report['ended']}, and it is {now:%Y-%m-%dT%H:%MZ}"
        elif now - ended > oldest:
            yield f"the report is of {report['ended']}, more than {oldest.total_seconds() / 3600:g} hours old"
    except (ValueError, TypeError):
        yield f"the session's times cannot be read: {report['started']!r}, {report['ended']!r}"
    if tests["collected"] < 1 or tests["passed"] < 1:
        yield f"{tests['collected']} tests collected, {tests['passed']} passed: nothing was shown"
    if tests["deselected"]:
        yield f"{tests['deselected']} tests were deselected"
    if not report["suites"]:
        yield "no suite in the report"
    for trouble in report["troubles"]:
        item = trouble if isinstance(trouble, dict) else {}
        yield f"{item.get('where')}: failed in {item.get('when')}"
    failed = sum(check["pytest"] == "failed" for suite in report["suites"] for check in suite["checks"])
    if max(tests["failed"], 0) + tests["errors"] > failed + len(report["troubles"]) or (code == 0 and failed):
        yield f"{tests['failed']} tests failed and {tests['errors']} erred, and the report does not say which"
    if code == 1 and not failed and not report["troubles"]:
        yield "the session failed, and the report does not say why"
    passed = sum(check["pytest"] == "passed" for suite in report["suites"] for check in suite["checks"])
    if tests["passed"] < passed or min(tests[key] for key in ("collected", "failed", "errors")) < 0:
        yield f"{passed} checks passed and only {tests['passed']} tests"
    nodes = [(suite["profile"], check["node"]) for suite in report["suites"] for check in suite["checks"]]
    if len(set(nodes)) < len(nodes):
        yield "a check stands in the report twice"


def of_commit(report: Table, commit: str) -> Iterator[str]:
    git, after = (value if isinstance(value := report.get(key), dict) else {} for key in ("git", "git_after"))
    if not git.get("commit"):
        yield "the report names no commit"
    elif git["commit"] != commit:
        yield f"the report is for commit {str(git['commit'])[:12]}, expected {commit[:12]}"
    elif after.get("commit") != commit:
        yield "the checkout changed while the session ran"
    if git.get("dirty") is not False or after.get("dirty") is not False:
        changed = [
            path for state in (git, after) if isinstance(state.get("changed"), list) for path in state["changed"]
        ]
        yield f"made with changes that are not committed: {', '.join(map(str, changed[:5])) or 'unknown'}"


def of_checks(suite: Table, rule: Table | None, waivers: Sequence[Table]) -> Iterator[str]:
    """Checks that did not pass and are not waived; in a suite that is not required, what was left out may be."""
    for check in suite["checks"]:
        verdict = check["verdict"]
        wrong = doubt(check) if status(check) in ("passed", "warning") else unpassed(check, suite, rule)
        waived = status(check) in ("failed", "not applicable") and any(
            (w["suite"], w["check"]) == (suite["file"], verdict["name"])
            and w.get("seed", verdict["seed"]) == verdict["seed"]
            for w in waivers
        )
        if wrong and not (waived and check["pytest"] in ("failed", "skipped")):
            yield f"{check['node']}: {wrong}"


def unpassed(check: Table, suite: Table, rule: Table | None) -> str | None:
    """Why a check without a pass counts against the commit; None when it does not."""
    verdict, answer = check["verdict"], status(check)
    text = f"{'not run' if why(check) == 'not run' else answer}: {verdict['message']}"
    if why(check) == "not run" and check["pytest"] in ("deselected", "nothing"):
        text = f"not run ({check['pytest']})"
    if rule is None:
        excused = answer == "not applicable" or why(check) == "not run"
        return None if excused and check["pytest"] != "failed" else text
    spared = suite["sequential"] and why(check) == "not needed"
    allowed = answer == "not applicable" and (verdict["name"] in rule.get("may_not_apply", ()) or spared)
    return None if allowed else text


def doubt(check: Table) -> str | None:
    """Why a check that says "passed" is not believed."""
    verdict, outcome = check["verdict"], check["verdict"]["outcome"]
    finding = outcome.get("finding") or {}
    if type(finding.get("measured")) not in (int, float, str, bool):
        return "passed without a measurement"
    if check["pytest"] != "passed":
        return f"says {outcome['status']}, and pytest says {check['pytest']}"
    if check["attempts"] != 1:
        return f"was run {check['attempts']} times"
    if outcome["evaluated"] < 1:
        return "passed without a single comparison"
    if outcome["status"] == "warning":
        return None
    missed = [bound for bound in finding["bounds"] if not keeps(finding["measured"], bound)]
    if missed and not verdict["expected_failure"]:  # a known failure misses its bound, and may be NaN
        return f"passed with {finding['measured']}, which misses its {missed[0]['kind']} {missed[0].get('value')}"
    if finding["measured"] in NOT_FINITE and not verdict["expected_failure"]:
        return f"passed with {finding['measured']}"
    return None


def keeps(measured: Any, bound: Table) -> bool:
    """Whether a value keeps a bound; what is no number keeps neither floor nor ceiling."""
    kind, value = bound["kind"], bound.get("value")
    if kind == "abort":
        return True
    if kind == "equal":
        return bool(measured == value)
    numbers = all(isinstance(it, int | float) and not isinstance(it, bool) for it in (measured, value))
    return numbers and (measured >= value if kind == "floor" else measured <= value)


def of_suite(suite: Table, rule: Table) -> Iterator[str]:
    """What a required suite lacks."""
    runs = {run["seed"]: run for run in suite["runs"]}
    who = f"{suite['file']} ({suite['profile']})"
    by_seed: dict[Any, list[Table]] = {seed: [] for seed in suite["seeds"]}
    for check in suite["checks"]:
        by_seed.setdefault(check["verdict"]["seed"], []).append(check)
    across = by_seed.pop(SEEDS, [])
    if len(runs) < len(suite["runs"]):
        yield f"{who}: two runs of one seed"
    if len(set(suite["seeds"])) < rule["seeds"]:
        yield f"{who}: {len(suite['seeds'])} seeds, at least {rule['seeds']} are required"
    if odd := set(by_seed) - set(suite["seeds"]):
        yield f"{who}: checks of seeds that it does not have: {sorted(map(str, odd))}"
    if changed := [key for key in suite["overridden"] if key != "device"]:
        yield f"{who}: the command line replaced {', '.join(map(str, changed))}"
    if suite["device"] != rule["device"]:
        yield f"{who}: device {suite['device']}, required is {rule['device']}"
    for seed, checks in by_seed.items():
        if len(checks) + len(across) < rule["checks"]:
            yield f"{who} seed{seed}: {len(checks) + len(across)} checks, at least {rule['checks']} are required"
        spared = bool(checks) and all(why(check) == "not needed" for check in checks)
        if not (suite["sequential"] and spared):
            yield from of_run(f"{who} seed{seed}", runs.get(seed), checks, rule)
        for name in rule.get("asks", ()):
            asked = [it for it in (*checks, *across) if name in (it["verdict"]["check"], it["verdict"]["name"])]
            if not any(status(check) in ("passed", "failed", "warning") for check in asked):
                yield f"{who} seed{seed}: {name} is required and was not decided"


def of_run(who: str, run: Table | None, checks: Sequence[Table], rule: Table) -> Iterator[str]:
    """Why the run of a seed does not stand for this commit."""
    if run is None:
        yield f"{who}: no run"
        return
    if run["status"] not in ("finished", "stopped"):
        yield f"{who}: {run['ended'] or run['status']}"
    if not run["required_key"] or run.get("key") != run["required_key"]:
        yield f"{who}: judged on a run of another configuration, source, data or machine"
    if not run["own"] and (rule.get("fresh") or not run.get("reused")):
        yield f"{who}: not trained by this session" + (", which is required" if rule.get("fresh") else "")
    if run.get("used_device") != rule["device"]:
        used = f"trained on {run['used_device']}" if run.get("used_device") else "records no device"
        yield f"{who}: {used}, required is {rule['device']}"
    if (band := rule.get("samples_per_second")) is not None:
        rate = run.get("samples_per_second")
        if type(rate) not in (int, float) or not band[0] <= rate <= band[1]:
            yield f"{who}: {rate} samples per second, required is {band[0]:g} to {band[1]:g}"
    late = [check["verdict"]["name"] for check in checks if epoch(check) > run["last_epoch"] + 1]
    if late:  # one epoch may have begun that did not end
        yield f"{who}: {late[0]} was judged at an epoch after the last one, {run['last_epoch']}"


# -- the command -------------------------------------------------------------------------------------------------------
def this_commit() -> str | None:
    """What the CI says is being judged, else the commit of the checkout."""
    named = os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA")
    if named:
        return named
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def screen(reasons: Sequence[str]) -> list[str]:
    """The reasons on one screen, each on one line."""
    flat = [" ".join(reason.split()) for reason in dict.fromkeys(reasons)]
    lines = [f"  {reason if len(reason) <= WIDTH else reason[: WIDTH - 1] + '…'}" for reason in flat[: SCREEN - 2]]
    return lines + ([f"  and {len(flat) - len(lines)} more"] if len(flat) > len(lines) else [])


def main(arguments: Sequence[str] | None = None) -> int:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(prog="gate.py", description="may this commit pass?")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="what pytest --lvm-json has written")
    parser.add_argument(
        "--require", type=Path, default=here / "gate.toml", metavar="FILE", help="what must have passed"
    )
    parser.add_argument("--waivers", type=Path, metavar="FILE", help="failures that are accepted for a time")
    parser.add_argument(
        "--commit", default=this_commit(), help="the commit to judge (default: that of the CI, or HEAD)"
    )
    options = parser.parse_args(arguments)
    try:
        rules, waivers = read_rules(options.require), read_waivers(options.waivers)
        if not options.commit:
            raise Unusable("no commit to judge: give --commit SHA")
    except Unusable as problem:
        print(f"gate: {problem}", file=sys.stderr)
        return 2
    reports, reasons = [], []
    for path in options.reports:
        try:
            reports.append(read_report(path))
        except Refused as problem:
            reasons.append(str(problem))
    reasons += decide(reports, rules, waivers, options.commit, datetime.datetime.now(datetime.UTC))
    if reasons:
        print(f"refused: {options.commit[:12]} may not pass")
        print("\n".join(screen(reasons)))
        return 1
    checks = sum(len(suite["checks"]) for report in reports for suite in report["suites"])
    print(f"accepted: {options.commit[:12]}, {len(rules['suite'])} required suites, {checks} checks")
    for waiver in waivers:
        print(f"  waived: {waiver['suite']} {waiver['check']} by {waiver['owner']} until {waiver['expires']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
