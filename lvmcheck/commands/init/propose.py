"""Checks that recorded runs support: bounds from their curves and their data, and what passed on all of them.

Every proposal is judged on the runs before it is made, so a suite never requires what its own source does not show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from lvmcheck.checks.finding import Outcome, Status
from lvmcheck.checks.protocol import Check, check_names, judge, load_check
from lvmcheck.checks.wording import outcome_text
from lvmcheck.commands.init.bounds import Measured, bounds_of, measured
from lvmcheck.commands.init.cosines import cosine, is_cosine
from lvmcheck.commands.init.proposal import Proposal
from lvmcheck.errors import BadValueError, InputError
from lvmcheck.run.view import Run


def propose(runs: Sequence[Run], name: str) -> tuple[list[Proposal], list[str]]:
    """Proposals that pass on every run, bounds first, and a sentence for each metric or check that is left out.

    Args:
        name: what the runs are called in the sources.
    """
    passing: list[Proposal] = []
    left: list[str] = []
    for proposal in (*bounds(runs, name, left), *general_checks(name)):
        try:
            check = proposal.check()
        except (BadValueError, InputError) as problem:
            left.append(f"{proposal.check_name} {proposal.keys.get('metric', '')}: {problem.problem}")
            continue
        if any(other.check().label() == check.label() and other.name == proposal.name for other in passing):
            continue
        outcomes = [judge(check, run) for run in runs]
        if all(outcome.status is Status.PASSED for outcome in outcomes):
            passing.append(proposal)
        else:
            left += _why(check, runs, outcomes)
    return passing, left


def bounds(runs: Sequence[Run], name: str, left: list[str]) -> Iterator[Proposal]:
    """Bounds of every metric that has a direction and reaches the end.

    Args:
        left: gets a sentence for each metric that has none.
    """
    for metric in dict.fromkeys(metric for run in runs for metric in run.metric_names):
        found = measured(runs, metric, name)
        if not isinstance(found, Measured):
            left.append(f"{metric}: {found}")
        elif len(runs) == 1 and is_cosine(metric):
            yield from cosine(runs[0], found.curves[0], name)
        else:
            yield from bounds_of(found, left)


def _why(check: Check, runs: Sequence[Run], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Why a check is left out; silent about one that no run could answer, and about those never asked for."""
    bad = [(run, it) for run, it in zip(runs, outcomes, strict=True) if it.status in (Status.FAILED, Status.WARNING)]
    if bad:
        run, outcome = bad[0]
        where = "" if len(runs) == 1 else f" on seed {run.seed}" if run.seed is not None else " on one of the runs"
        yield f"{check.label()} {outcome.status.value}{where}: {outcome_text(outcome)}"
    elif any(outcome.status is Status.PASSED for outcome in outcomes):
        silent = sum(outcome.status is not Status.PASSED for outcome in outcomes)
        yield f"{check.label()} was not answered by {silent} of {len(runs)} runs"


# -- checks without bounds of their own --------------------------------------------------------------------------------
def general_checks(name: str) -> Iterator[Proposal]:
    """Every check that needs no keys."""
    for check_name in check_names():
        kind = load_check(check_name)
        fields = dataclasses.fields(kind)
        if any(f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING for f in fields):
            continue
        try:
            kind()
        except ValueError:  # it needs one of two keys
            continue
        bounds = "universal" if kind.universal else "usual bounds"
        yield Proposal(check_name=check_name, source=f"{bounds}; passed on {name}")
