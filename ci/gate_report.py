"""What a report says, held against the requirements: the session, its checks, its required suites and their runs."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from gate_finding import Reason
from gate_shape import NOT_FINITE, Table

SEEDS = "seeds"
"""What stands in place of a seed where all seeds answer together."""
SKEW = datetime.timedelta(minutes=5)
ENDS = {0: "passed", 1: "failed"}


def status(check: Table) -> str:
    return str(check["verdict"]["outcome"]["status"])


def why(check: Table) -> object:
    return check["verdict"]["outcome"]["why"]


def same(rule: Table, suite: Table) -> bool:
    return bool((rule["file"], rule["profile"]) == (suite["file"], suite["profile"]))


# -- the session -------------------------------------------------------------------------------------------------------
def of_session(report: Table, commit: str, nonce: str, now: Any, oldest: datetime.timedelta) -> Iterator[Reason]:
    """What is wrong with a session as a whole."""
    if report["nonce"] != nonce:
        yield Reason("nonce_differs", got=report["nonce"][:40])
    yield from of_commit(report, commit)
    if ENDS.get(report["exit_status"]) != report["status"]:
        yield Reason("bad_end", expected=report["exit_status"], got=report["status"])
    yield from of_times(report, now, oldest)
    yield from of_counts(report)
    if not report["suites"]:
        yield Reason("no_suite")
    for trouble in report["troubles"]:
        yield Reason("trouble", trouble["where"], got=trouble["when"])


def of_times(report: Table, now: Any, oldest: datetime.timedelta) -> Iterator[Reason]:
    text = f"{report['started']} to {report['ended']}"
    try:
        began, ended = (datetime.datetime.fromisoformat(report[key]) for key in ("started", "ended"))
        if not began <= ended <= now + SKEW:
            yield Reason("bad_times", expected=f"{now:%Y-%m-%dT%H:%MZ}", got=text)
        elif now - ended > oldest:
            yield Reason("too_old", expected=f"{oldest.total_seconds() / 3600:g}", got=report["ended"])
    except (ValueError, TypeError):
        yield Reason("unreadable_times", got=text)


def of_counts(report: Table) -> Iterator[Reason]:
    """Counts of tests beside what the checks and troubles of the report account for."""
    tests, code, checks = report["tests"], report["exit_status"], [it for s in report["suites"] for it in s["checks"]]
    if tests["collected"] < 1 or tests["passed"] < 1:
        yield Reason("nothing_shown", expected=tests["collected"], got=tests["passed"])
    if tests["deselected"]:
        yield Reason("deselected", got=tests["deselected"])
    failed = sum(check["pytest"] == "failed" for check in checks)
    if max(tests["failed"], 0) + tests["errors"] > failed + len(report["troubles"]) or (code == 0 and failed):
        yield Reason("hidden_failures", got=f"{tests['failed']} tests failed and {tests['errors']} erred")
    if code == 1 and not failed and not report["troubles"]:
        yield Reason("no_reason")
    passed = sum(check["pytest"] == "passed" for check in checks)
    if tests["passed"] < passed or min(tests[key] for key in ("collected", "failed", "errors")) < 0:
        yield Reason("too_few_tests", expected=passed, got=tests["passed"])
    files = [(suite["file"], suite["profile"]) for suite in report["suites"]]
    nodes = [(suite["profile"], check["node"]) for suite in report["suites"] for check in suite["checks"]]
    names = [
        (suite["file"], suite["profile"], check["verdict"]["seed"], check["verdict"]["name"])
        for suite in report["suites"]
        for check in suite["checks"]
    ]
    if any(len(set(listed)) < len(listed) for listed in (files, nodes, names)):
        yield Reason("check_twice")


def of_commit(report: Table, commit: str) -> Iterator[Reason]:
    git, after = (report[key] or {} for key in ("git", "git_after"))
    if not git.get("commit"):
        yield Reason("no_commit")
    elif git["commit"] != commit:
        yield Reason("other_commit", expected=commit[:12], got=str(git["commit"])[:12])
    elif after.get("commit") != commit:
        yield Reason("checkout_changed")
    if git.get("dirty") is not False or after.get("dirty") is not False:
        changed = [str(path) for state in (git, after) for path in state.get("changed", [])]
        yield Reason("not_committed", got=", ".join(changed[:5]) or "unknown")


# -- checks ------------------------------------------------------------------------------------------------------------
def of_checks(suite: Table, rule: Table | None, waivers: Sequence[Table]) -> Iterator[Reason]:
    """Checks that did not pass and are not waived; in a suite that is not required, what was left out may be."""
    for check in suite["checks"]:
        believed = status(check) in ("passed", "warning")
        wrong = doubt(check) if believed else unpassed(check, suite, rule)
        waived = status(check) in ("failed", "not applicable") and any(
            (waiver["suite"], waiver["check"]) == (suite["file"], check["verdict"]["name"])
            and waiver.get("seed", check["verdict"]["seed"]) == check["verdict"]["seed"]
            for waiver in waivers
        )
        if wrong and not (waived and check["pytest"] in ("failed", "skipped")):
            yield wrong


def unpassed(check: Table, suite: Table, rule: Table | None) -> Reason | None:
    """Why a check without a pass counts against the commit; None when it does not."""
    verdict, answer = check["verdict"], status(check)
    text = f"{'not run' if why(check) == 'not run' else answer}: {verdict['message']}"
    if why(check) == "not run" and check["pytest"] in ("deselected", "nothing"):
        text = f"not run ({check['pytest']})"
    failure = Reason("check_failed", check["node"], got=text)
    if rule is None:
        excused = answer == "not applicable" or why(check) == "not run"
        return None if excused and check["pytest"] != "failed" else failure
    if answer != "not applicable" or check["pytest"] == "failed":
        return failure
    if verdict["name"] in rule.get("may_not_apply", ()):
        return None
    if why(check) == "not needed":
        problem = needed(check, suite)
        return Reason("not_needed", check["node"], got=problem) if problem else None
    return failure


def needed(check: Table, suite: Table) -> str | None:
    """Why a check is needed although it answers that it is not: only a whole later seed can be needless."""
    seed = check["verdict"]["seed"]
    if not suite["sequential"] or seed not in suite["seeds"][1:]:
        return "only a later seed of a sequential suite can be needless"
    if not all(why(other) == "not needed" for other in suite["checks"] if other["verdict"]["seed"] == seed):
        return "other checks of its seed were decided"
    together = [other for other in suite["checks"] if other["verdict"]["seed"] == SEEDS]
    if not together or not all(status(other) in ("passed", "failed", "warning") for other in together):
        return "what all seeds answer together is not decided"
    return None


def doubt(check: Table) -> Reason | None:
    """Why a check that says "passed" is not believed."""
    verdict, outcome, node = check["verdict"], check["verdict"]["outcome"], check["node"]
    finding = outcome["finding"] or {}
    measured = finding.get("measured")
    if measured is None or measured == "":
        return Reason("nothing_measured", node)
    if check["pytest"] != "passed":
        return Reason("pytest_disagrees", node, outcome["status"], check["pytest"])
    if check["attempts"] != 1:
        return Reason("run_again", node, got=check["attempts"])
    if outcome["evaluated"] < 1:
        return Reason("nothing_compared", node)
    if outcome["status"] == "warning" or verdict["expected_failure"]:
        return None  # a known failure misses its bound, and may be NaN
    missed = [bound for bound in finding["bounds"] if not keeps(measured, bound)]
    if missed:
        return Reason("bound_missed", node, f"{missed[0]['kind']} {missed[0]['value']}", measured)
    return Reason("not_finite", node, got=measured) if measured in NOT_FINITE else None


def keeps(measured: Any, bound: Table) -> bool:
    """Whether a value keeps a bound; what is no number keeps neither floor nor ceiling."""
    kind, value = bound["kind"], bound["value"]
    if kind == "abort":
        return True
    if kind == "equal":
        return bool(measured == value)
    numbers = all(isinstance(it, int | float) and not isinstance(it, bool) for it in (measured, value))
    return numbers and (measured >= value if kind == "floor" else measured <= value)


# -- required suites ---------------------------------------------------------------------------------------------------
def of_suite(suite: Table, rule: Table, nonce: str) -> Iterator[Reason]:
    """What a required suite lacks."""
    runs = {run["seed"]: run for run in suite["runs"]}
    who = f"{suite['file']} ({suite['profile']})"
    by_seed: dict[Any, list[Table]] = {seed: [] for seed in suite["seeds"]}
    for check in suite["checks"]:
        by_seed.setdefault(check["verdict"]["seed"], []).append(check)
    across = by_seed.pop(SEEDS, [])
    if len(runs) < len(suite["runs"]):
        yield Reason("run_twice", who)
    if len(set(suite["seeds"])) < rule["seeds"]:
        yield Reason("too_few_seeds", who, rule["seeds"], len(set(suite["seeds"])))
    if odd := set(by_seed) - set(suite["seeds"]):
        yield Reason("seed_unknown", who, got=sorted(map(str, odd)))
    if changed := [key for key in suite["overridden"] if key != "device"]:
        yield Reason("overridden", who, got=", ".join(changed))
    if suite["device"] != rule["device"]:
        yield Reason("other_device", who, rule["device"], suite["device"])
    for seed, checks in by_seed.items():
        where = f"{who} seed{seed}"
        if len(checks) + len(across) < rule["checks"]:
            yield Reason("too_few_checks", where, rule["checks"], len(checks) + len(across))
        spared = bool(checks) and all(why(check) == "not needed" and not needed(check, suite) for check in checks)
        if not spared:
            yield from of_run(where, runs.get(seed), checks, rule, nonce)
        for name in rule.get("asks", ()):
            asked = [it for it in (*checks, *across) if name in (it["verdict"]["check"], it["verdict"]["name"])]
            if not any(status(check) in ("passed", "failed", "warning") for check in asked):
                yield Reason("not_decided", where, name)


def of_run(who: str, run: Table | None, checks: Sequence[Table], rule: Table, nonce: str) -> Iterator[Reason]:
    """Why the run of a seed does not stand for this commit."""
    if run is None:
        yield Reason("no_run", who)
        return
    if run["status"] not in ("finished", "stopped"):
        yield Reason("run_not_finished", who, got=run["ended"] or run["status"])
    if not run["required_key"] or run["key"] != run["required_key"]:
        yield Reason("other_key", who)
    if run["nonce"] != nonce:
        yield Reason("run_nonce_differs", who)
    if not run["own"] and (rule.get("fresh", True) or not run["reused"]):
        yield Reason("not_own_run", who)
    if not run["used_device"]:
        yield Reason("no_device", who, rule["device"])
    elif run["used_device"] != rule["device"]:
        yield Reason("trained_on", who, rule["device"], run["used_device"])
    if (band := rule.get("samples_per_second")) is not None:
        rate = run["samples_per_second"]
        if type(rate) not in (int, float) or not band[0] <= rate <= band[1]:
            yield Reason("throughput", who, f"{band[0]:g} to {band[1]:g}", rate)
    for check in checks:
        epoch = (check["verdict"]["outcome"]["finding"] or {}).get("epoch") or 0
        if epoch > run["last_epoch"] + 1:  # one epoch may have begun that did not end
            yield Reason("after_the_end", f"{who}: {check['verdict']['name']}", run["last_epoch"])
            return
