"""ranks_agree: every rank holds the same weights after a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

LIMIT = 1e-4
"""Difference over size of the weights; ranks that reduce gradients are equal to the last bits."""
LOOKS = 3
"""Looks in a row that find them apart before anything is said."""
PATIENCE = 500
"""Steps that ranks may train apart: those of local SGD are brought together after fewer."""


@dataclass(frozen=True, kw_only=True)
class RanksAgree(Watched):
    """The ranks of data parallelism hold the same weights after a step. They do not when three looks in a row show
    weights that differ by more than a ten-thousandth of their size, and nothing has brought them together: for 500
    steps, or by the end of watching, or at once where DistributedDataParallel holds the model.

    Why:
    Gradients that are not averaged train one model per rank. Rank 0 is saved, the work of the others is lost, and
    nothing says so.

    Usual causes:
    - The raw module is called, not the one that DistributedDataParallel wraps.
    - Every backward pass runs below no_sync.
    - Ranks begin with weights of their own, and nothing spreads those of rank 0.
    - Parameters are changed outside of backward and step on one rank alone.

    Fix:
    Call the wrapped model in forward; change weights on every rank alike, after a broadcast.

    Healthy runs that must pass:
    Differences in the last bits; local SGD, whose weights are averaged at least every 500 steps and are equal then;
    stages of a pipeline, tensor parallelism and FSDP, whose ranks hold parts of their own and are not compared.

    Source:
    This project's list of faults in training loops: ranks that drift apart.
    """

    event = "ranks"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        apart = of.get("apart", float("nan")) if not any(map(math.isnan, of.values())) else math.nan
        lasting = of.get("wrapped") or of.get("over") or of.get("since", PATIENCE) >= PATIENCE
        if apart > LIMIT and not (of.get("looks", LOOKS) >= LOOKS and lasting):
            return None
        return Finding(
            code="ranks_differ",
            measured=apart,
            bounds=(ceiling(LIMIT),),
            evidence=(Fact("ranks", of.get("ranks")), Fact("steps_apart", of.get("since"))),
            phrase="the weights of {ranks} ranks differ by {measured} of their size",
        )


def _run(*apart: float, ended: bool = True, **more: float) -> Run:
    values = [{"ranks": 2.0, "apart": value, "looks": 1.0 + i, "since": 2.0**i} for i, value in enumerate(apart)]
    return case_run("ranks", [*values[:-1], {**values[-1], **more}], over=ended)


_case = made.Cases(RanksAgree())
PASSES = (
    _case("perfect_oracle", _run(0.0, 0.0, 0.0)),
    _case("last_bits", _run(1e-7, 3e-7, 1e-6)),
    _case("averaged_now_and_then", _run(1e-3, 1e-3, 2e-3, 4e-3, 0.0)),
)
FAILS = (
    _case("never_averaged", _run(1e-3, 3e-3, 7e-3, ended=False, since=500.0), "ranks_differ", 7e-3, step=3),
    _case("not_by_the_end", _run(1e-3, 3e-3, 7e-3, over=1.0), "ranks_differ", 7e-3),
    _case("below_a_wrapper", _run(1e-3, 3e-3, 7e-3, wrapped=1.0), "ranks_differ", 7e-3),
    _case("not_a_number", _run(*[float("nan")] * 3)),
)
