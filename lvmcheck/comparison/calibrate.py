"""``lvmcheck calibrate SUITE``: bounds proposed from the spread of several seeds, beside the faults they still catch.

A bound that a healthy seed misses once in a hundred runs is a bound with a stated false-alarm rate; one chosen by eye
is not. After FLEX (Dutta et al. 2021) and FASER, with the prediction interval of Student's t in place of a tail fit:
a handful of seeds cannot carry more.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lvmcheck.checks.bounds import BoundKind
from lvmcheck.checks.finding import Finding, Status
from lvmcheck.checks.wording import figure, plural
from lvmcheck.comparison.proposed import Proposed, proposals, with_value
from lvmcheck.comparison.sides import repeats
from lvmcheck.errors import BadValueError, InputError
from lvmcheck.readers import open_run
from lvmcheck.run.alike import FIX, repeated
from lvmcheck.run.directory import INFO
from lvmcheck.run.view import Run
from lvmcheck.statistics.seeds import chance_next_above, sample
from lvmcheck.suite import CheckEntry, Suite, load_suite
from lvmcheck.suite.judging import judge_entry

HOME = Path(".lvmcheck")
BAD = (Status.FAILED, Status.ERROR)
PLANTED = "known_failures"


@dataclass(frozen=True)
class SeedMargins:
    """A check of the suite on every seed.

    Attributes:
        margins: signed distance from its bound, by seed.
    """

    entry: CheckEntry
    margins: tuple[float, ...]


@dataclass(frozen=True)
class Planted:
    """Runs with faults by name, and which of them any check has caught."""

    runs: Mapping[str, Run]
    caught: set[str]


def calibrated(suite: Suite, runs: Sequence[Run], planted: Mapping[str, Run], rate: float) -> Iterator[str]:
    """Line by line what each bound of the suite is worth, and what no check of it catches.

    Args:
        runs: finished seeds. planted: runs with faults, by the name of the fault. rate: of accepted false alarms.
    """
    yield f"{suite.name}, profile {suite.profile}: {len(runs)} seeds; accepted false alarms: {rate:g} of healthy runs"
    yield f"{plural(len(planted), 'planted fault')} to catch"
    faults = Planted(planted, set())
    for entry in suite.checks:
        found = measure(entry, runs)
        if isinstance(found, str):
            sound = all(judge_entry(entry, run).status not in BAD for run in runs)
            yield f"{entry.node}: {found}" + (f"; catches {_words(killed(entry, faults), planted)}" if sound else "")
        else:
            yield from report(found, runs, faults, rate)
    missed = [name for name in planted if name not in faults.caught]
    if planted:
        yield f"caught by no check: {', '.join(missed) or 'none of them'}"


def loaded(suite_path: Path, profile: str | None, *, seeds: int, rate: float) -> Suite:
    """The suite that is to be calibrated.

    Raises:
        InputError: fewer than 3 seeds, another rate, or no such suite.
    """
    if seeds < 3 or not 0.0 < rate < 0.5:
        raise InputError("calibrate", f"expected at least 3 seeds and a rate below 0.5, got {seeds} and {rate:g}")
    file = suite_path if suite_path.suffix == ".toml" else suite_path / "suite.toml"
    return load_suite(file, profile=profile)


def train(suite: Suite, seeds: int) -> list[Run]:
    """Finished runs of seeds 0 to ``seeds - 1``; every one of them is trained to its end, whatever its checks say."""
    chosen = ",".join(map(str, range(seeds)))
    words = [sys.executable, "-m", "pytest", str(suite.path), "--lvm-seeds", chosen, "--lvm-profile", suite.profile]
    words += ["--lvm-progress", "plain", "-q", f"--lvm-dir={HOME}"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    folders = (HOME / "runs" / suite.name).glob(f"{suite.profile}-seed*/{INFO}")
    found = [open_run(path.parent, kind="run_directory") for path in folders]
    newest = max((run for run in found if run.finished), key=lambda run: str(run.info.get("created")), default=None)
    runs = [] if newest is None else [run for run in repeats(newest) if run.seed in range(seeds)]
    if len(runs) < seeds:
        tail = " ".join(done.stdout.strip().splitlines()[-1:])
        problem = f"expected {seeds} finished runs, got {len(runs)}: {tail[:160]}"
        raise InputError(os.path.relpath(suite.path), problem, fix="A run that a check aborts shows no spread.")
    same = repeated(runs)
    if same is not None:
        raise InputError(os.path.relpath(suite.path), same.problem(), fix=FIX)
    return runs


def known_failures() -> dict[str, Run]:
    """Runs of suites of known failures that were trained here, by the name of their folder."""
    found = {}
    for path in sorted((HOME / "runs" / PLANTED).rglob(INFO)):
        try:
            found[path.parent.parent.name] = open_run(path.parent, kind="run_directory")
        except InputError:
            continue
    return found


def measure(entry: CheckEntry, runs: Sequence[Run]) -> SeedMargins | str:
    """The entry on every run, or why its margins say nothing."""
    findings: list[Finding] = []
    for run in runs:
        outcome = judge_entry(entry, run)
        if outcome.finding is None:
            return f"{outcome.status.value}: {outcome.reason}"[:150]
        findings.append(outcome.finding)
    margins = [finding.margin for finding in findings]
    if any(margin is None or not math.isfinite(margin) for margin in margins):
        return "has no margin to calibrate"
    return SeedMargins(entry, tuple(margin for margin in margins if margin is not None))


def report(found: SeedMargins, runs: Sequence[Run], faults: Planted, rate: float) -> Iterator[str]:
    """What a bound is worth, and a better number for each key that sets one."""
    spread, passes = sample(found.margins), chance_next_above(found.margins, 0.0)
    caught = killed(found.entry, faults)
    yield (
        f"{found.entry.node}: margin {spread.mean:+.4g}, spread {figure(spread.sd)}; a healthy seed fails it with "
        f"probability {1 - passes:.2g}; catches {_words(caught, faults.runs)}"
    )
    proposed = list(proposals(found.entry, runs, rate))
    for one in proposed:
        after = _with(found.entry, one, proposed, faults)
        yield (
            f"    {one.key} = {_shown(one.value)}  (now {_shown(one.now)}; {one.kind.value}, "
            f"{'stops' if one.kind is BoundKind.ABORT else 'fails'} {_share(one.kind, rate)} of healthy seeds"
            f"{_difference(caught, after)})"
        )


def _share(kind: BoundKind, rate: float) -> str:
    return f"fewer than {rate:g}" if kind is BoundKind.ABORT else f"{rate:g}"


def _with(entry: CheckEntry, one: Proposed, every: Sequence[Proposed], faults: Planted) -> list[str] | None:
    """What is caught with a value, or with all that are proposed where it needs them; None where both are refused."""
    for chosen in ([one], every):
        try:
            return killed(with_value(entry, chosen), Planted(faults.runs, set()))
        except BadValueError:
            continue
    return None


def _difference(before: list[str], after: list[str] | None) -> str:
    if after is None or set(before) == set(after):
        return ""
    more, less = sorted({*after} - {*before}), sorted({*before} - {*after})
    parts = [*([f"also catches {', '.join(more)}"] if more else []), *([f"misses {', '.join(less)}"] if less else [])]
    return f"; {'; '.join(parts)}"


def _shown(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else json.dumps(value)


def _words(caught: list[str], planted: Mapping[str, Run]) -> str:
    if not planted:
        return "nothing that was planted"
    return f"{len(caught)} of {len(planted)}" + (f": {', '.join(caught)}" if caught else "")


def killed(entry: CheckEntry, faults: Planted) -> list[str]:
    """Names of the planted faults that the check measures and fails, whatever the data.

    One that it cannot judge any more, because nothing was recorded, is caught as well, by every such check.
    """
    anywhere = dataclasses.replace(entry, calibrated_on=None, across=None)
    outcomes = {name: judge_entry(anywhere, run) for name, run in faults.runs.items()}
    faults.caught.update(name for name, outcome in outcomes.items() if outcome.status in BAD)
    return [name for name, it in outcomes.items() if it.status is Status.FAILED and it.finding is not None]
