"""ranks_agree: every rank holds the same weights after a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch

LIMIT = 1e-4
"""Difference over size of the weights; ranks that reduce gradients are equal to the last bits."""


@dataclass(frozen=True, kw_only=True)
class RanksAgree(Watched):
    """The ranks of data parallelism hold the same weights after a step: of the steps that all of them measure, no
    three in a row show weights that differ by more than a ten-thousandth of their size.

    Why:
    Gradients that are not averaged train one model per rank. Rank 0 is saved, the work of the others is lost, and
    nothing says so.

    Usual causes:
    - The raw module is called, not the one that DistributedDataParallel wraps.
    - Parameters are changed outside of backward and step on one rank alone.
    - Ranks begin with weights of their own, and nothing spreads those of rank 0.

    Fix:
    Call the wrapped model in forward; change weights on every rank alike, after a broadcast.

    Healthy runs that must pass:
    Differences in the last bits; weights that are averaged every few steps and agree at one of three looks; FSDP,
    whose ranks hold parts of their own and are not compared.

    Source:
    Issue 15 (ranks that drift apart).
    """

    universal = True
    event = "ranks"
    streak = 3

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="ranks_differ",
            measured=event.values.get("apart"),
            bounds=(ceiling(LIMIT),),
            step=event.step,
            evidence=(Fact("ranks", event.values.get("ranks")),),
            phrase="the weights of {ranks} ranks differ by {measured} of their size",
        )


def _run(*apart: float) -> list[dict[str, float]]:
    return [{"ranks": 2.0, "apart": value} for value in apart]


_CHECK = RanksAgree()
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, case_run("ranks", _run(0.0, 0.0, 0.0))),
    made.case("last_bits", _CHECK, case_run("ranks", _run(1e-7, 3e-7, 1e-6))),
    made.case("averaged_now_and_then", _CHECK, case_run("ranks", _run(1e-3, 1e-3, 0.0, 1e-3, 2e-3, 0.0))),
)
FAILS: Sequence[Case] = (
    made.case(
        "never_averaged", _CHECK, case_run("ranks", _run(1e-3, 3e-3, 7e-3), over=False), "ranks_differ", 7e-3, step=3
    ),
    made.case("not_a_number", _CHECK, case_run("ranks", _run(*[float("nan")] * 3))),
)
