"""ranks_split_alike: no rank validates on rows that another trains on."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST = 0.01


@dataclass(frozen=True, kw_only=True)
class RanksSplitAlike(Watched):
    """Of the rows that a rank evaluates in its watched validation loader, no more than a hundredth are among those that
    another rank trains on.

    Why:
    A split that each rank draws for itself puts most of one rank's validation rows into another's training rows: the
    weights, which all share, have seen them, and the validation score is one of training.

    Usual causes:
    - random_split, or a shuffle before the split, without a generator of a fixed seed.
    - The rank is part of the seed before the split.

    Fix:
    ``random_split(data, sizes, generator=torch.Generator().manual_seed(seed))``, with one seed for all ranks.

    Healthy runs that must pass:
    One split that all ranks cut; validation on all rows by every rank.

    Source:
    This project's list of faults of several ranks: split unseeded.
    """

    event = "rank_split"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        leaked, own = of.get("leaked", float("nan")), of.get("own", 0.0)
        if own > MOST:
            return None  # a rank's own rows leak as well: that is another fault
        return Finding(
            code="split_differs",
            measured=leaked,
            bounds=(ceiling(MOST),),
            evidence=(Fact("ranks", of.get("ranks")),),
            phrase="share of a rank's validation rows that another rank trains on {measured}",
        )


def _run(leaked: float, own: float = 0.0) -> Run:
    return case_run("rank_split", [{"ranks": 2.0, "leaked": leaked, "own": own}])


_case = made.Cases(RanksSplitAlike())
PASSES = (_case("perfect_oracle", _run(0.0)), _case("by_chance", _run(0.005)))
FAILS = (
    _case("drawn_by_rank", _run(0.4), "split_differs", 0.4),
    _case("not_a_number", _run(float("nan"))),
)
