"""Probes, found by their files below ``probes/``, and how they are run: one at a time, with everything put back."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

from lvmcheck.checks.finding import Outcome, Verdict, Why, error, not_applicable, not_recorded
from lvmcheck.errors import excerpt
from lvmcheck.watch.preflight.setup import Setup, SkipProbe

PROBES = Path(__file__).parent / "probes"


@dataclass(frozen=True)
class Probe:
    """A question about model, batch, loss and optimizer.

    Args:
        measure: the answer; it may change everything that the snapshot of the setup covers.
        fixes: code of a finding -> what to do.
        late: it trains, and takes what is left of the budget.
    """

    name: str
    measure: Callable[[Setup], Outcome]
    fixes: Mapping[str, str] = field(default_factory=dict)
    late: bool = False


@cache
def probes() -> tuple[Probe, ...]:
    """All of them, those that train last."""
    found = []
    for path in sorted(PROBES.glob("*.py")):
        if not path.stem.startswith("_"):
            module = import_module(f"{__package__}.probes.{path.stem}")
            found.append(Probe(path.stem, module.measure, module.FIXES, getattr(module, "LATE", False)))
    return tuple(sorted(found, key=lambda probe: probe.late))


def verdict(probe: Probe, setup: Setup) -> Verdict:
    return Verdict(name=probe.name, check=probe.name, outcome=_outcome(probe, setup))


def _outcome(probe: Probe, setup: Setup) -> Outcome:
    if time.perf_counter() > setup.deadline:
        return not_recorded(f"the budget of {setup.budget:g} s was used up before this probe; raise budget_s")
    with setup.restored(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return probe.measure(setup)
        except SkipProbe as reason:
            return not_applicable(str(reason))
        except Exception as problem:
            return error(f"{type(problem).__name__}: {one_line(problem)}", Why.CRASHED)


def one_line(problem: BaseException, limit: int = 160) -> str:
    """The message of an exception without line breaks."""
    return excerpt(" ".join(str(problem).split()), limit)
