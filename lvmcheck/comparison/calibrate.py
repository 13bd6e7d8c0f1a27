"""``lvmcheck calibrate SUITE``: floors proposed from the spread of several seeds, beside the faults they still catch.

A bound that a healthy seed misses once in a hundred runs is a bound with a stated false-alarm rate; one chosen by eye
is not. After FLEX (Dutta et al. 2021) and FASER, with the prediction interval of Student's t in place of a tail fit:
a handful of seeds cannot carry more.
"""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lvmcheck.checks.finding import Finding, Outcome, Status
from lvmcheck.checks.wording import figure
from lvmcheck.comparison.sides import repeats
from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from lvmcheck.run.alike import FIX, repeated
from lvmcheck.run.directory import INFO
from lvmcheck.run.view import Run
from lvmcheck.statistics.seeds import chance_next_above, sample
from lvmcheck.statistics.student import t_quantile
from lvmcheck.suite import CheckEntry, Suite, load_suite
from lvmcheck.suite.judging import judge_entry

HOME = Path(".lvmcheck")
PLANTED = "known_failures"
PLACES = 4
"""Decimals that a proposed floor is rounded down to."""


@dataclass(frozen=True)
class SeedMargins:
    """A check of the suite on every seed.

    Attributes:
        margins: signed distance from its bound, by seed. values: what was measured.
    """

    entry: CheckEntry
    margins: tuple[float, ...]
    values: tuple[float, ...]


def calibrate(suite_path: Path, *, seeds: int, rate: float, profile: str | None) -> Iterator[str]:
    """Trains the seeds (or reuses them), and says line by line what each bound is worth.

    Raises:
        InputError: fewer than 3 seeds, no such suite, or seeds that did not finish.
    """
    if seeds < 3 or not 0.0 < rate < 0.5:
        raise InputError("calibrate", f"expected at least 3 seeds and a rate below 0.5, got {seeds} and {rate:g}")
    file = suite_path if suite_path.suffix == ".toml" else suite_path / "suite.toml"
    suite = load_suite(file, profile=profile)
    runs = train(suite, seeds)
    yield f"{suite.name}, profile {suite.profile}: {len(runs)} seeds; accepted false alarms: {rate:g} of healthy runs"
    planted = planted_runs()
    yield f"{len(planted)} runs of known failures in {HOME / 'runs' / PLANTED} to catch"
    for entry in suite.checks:
        found = measure(entry, runs)
        if isinstance(found, str):
            yield f"{entry.node}: {found}"
        else:
            yield from report(found, planted, rate)


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


def planted_runs() -> list[Run]:
    """Runs of suites of known failures that were trained here, one a suite and seed."""
    found = []
    for path in sorted((HOME / "runs" / PLANTED).rglob(INFO)):
        try:
            found.append(open_run(path.parent, kind="run_directory"))
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
    values = tuple(f.measured for f in findings if isinstance(f.measured, int | float))
    return SeedMargins(entry, tuple(margin for margin in margins if margin is not None), tuple(map(float, values)))


def report(found: SeedMargins, planted: Sequence[Run], rate: float) -> Iterator[str]:
    """What the bound is worth, and a better one where the check has a floor that is a number."""
    spread = sample(found.margins)
    passes = chance_next_above(found.margins, 0.0)
    caught = killed(found.entry, planted)
    yield (
        f"{found.entry.node}: margin {spread.mean:+.4g}, spread {figure(spread.sd)}; a healthy seed fails it with "
        f"probability {1 - passes:.2g}; catches {caught}"
    )
    floor = getattr(found.entry.check, "floor", None)
    if isinstance(floor, int | float) and len(found.values) == len(found.margins):
        proposed = propose(found.values, rate)
        lower = dataclasses.replace(found.entry.check, **_changed(found.entry, proposed))
        after = killed(dataclasses.replace(found.entry, check=lower), planted)
        yield f"    floor = {proposed:g}  (now {floor:g}; fails {rate:g} of healthy seeds; catches {after})"


def propose(values: Sequence[float], rate: float) -> float:
    """The floor that one more healthy seed misses with probability ``rate``, rounded down."""
    found = sample(values)
    bound = found.mean - t_quantile(rate, found.n - 1) * found.sd * math.sqrt(1 + 1 / found.n)
    return math.floor(bound * 10.0**PLACES) / 10.0**PLACES


def _changed(entry: CheckEntry, floor: float) -> dict[str, object]:
    abort = getattr(entry.check, "abort_below", None)
    lower = isinstance(abort, int | float) and abort > floor
    return {"floor": floor, **({"abort_below": None} if lower else {})}


def killed(entry: CheckEntry, planted: Sequence[Run]) -> str:
    """``7 of 9 planted faults``: of those that the check could judge, on whatever data."""
    anywhere = dataclasses.replace(entry, calibrated_on=None)
    outcomes: list[Outcome] = [judge_entry(anywhere, run) for run in planted]
    judged = [outcome for outcome in outcomes if outcome.finding is not None]
    return f"{sum(outcome.status is Status.FAILED for outcome in judged)} of {len(judged)} planted faults it can judge"
