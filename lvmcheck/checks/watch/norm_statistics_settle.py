"""norm_statistics_settle: running statistics of batch norm are those of the data when the run ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch

BATCHES, LEFT = 50, 0.5
"""Batches of a run that is judged, and share of the initial statistics that may be left after them."""


@dataclass(frozen=True, kw_only=True)
class NormStatisticsSettle(Watched):
    """After at least 50 batches not more than half of the initial running mean and variance (0 and 1) is left in a
    batch norm that began with the run: (1 - momentum) ** batches.

    Why:
    In eval mode a batch norm uses its running statistics. Where they have not moved yet, validation measures another
    function than the one that is trained.

    Usual causes:
    - A momentum in the convention of another library: its 0.99 or 0.999 is 0.01 or 0.001 in PyTorch.
    - A run of so few batches that statistics do not settle at this momentum.

    Fix:
    momentum=0.1, the default; or pass over some training batches in train mode before evaluating
    (torch.optim.swa_utils.update_bn).

    Healthy runs that must pass:
    Norms that come with pretrained statistics; a cumulative average (momentum=None); norms in eval mode, which are not
    updated; short trials.

    Source:
    An independent gallery: momentum=0.001 in a classifier of small images.
    """

    event = "norm_statistics"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("batches", 0.0) < BATCHES:
            return None
        return Finding(
            code="initial_statistics_left",
            measured=math.nan if any(map(math.isnan, of.values())) else of.get("left"),
            bounds=(ceiling(LEFT),),
            evidence=(Fact("batches", of.get("batches")), *names(event, "norm")),
            phrase="{measured} of the initial running statistics of {norm} is left after {batches} batches",
        )


_case = Cases(NormStatisticsSettle())
_DONE = {"left": 1e-9, "batches": 200.0}
PASSES = (
    _case("perfect_oracle", [{**_DONE, "left": 0.0}], subjects=["bn"]),
    _case("default", [_DONE], subjects=["bn"]),
)
FAILS = (
    _case(
        "momentum_of_another_library",
        [{**_DONE, "left": 0.82}],
        "initial_statistics_left",
        0.82,
        subjects=["bn"],
        norm="bn",
    ),
    _case("not_a_number", [{**_DONE, "left": math.nan}], subjects=["bn"]),
)
