"""augmentation_varies: a random augmentation draws other numbers each time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class AugmentationVaries(Watched):
    """A dataset of stored rows that draws random numbers when it is asked for a row draws others the next time. The
    watcher asks for two rows three times, with other states of the generators of torch, numpy and Python, and puts
    those back. Needs train= of watch; streams, rows made of nothing but random numbers, and generators of numpy or
    Python that a dataset holds for itself are not judged.

    Why:
    An augmentation that never changes enlarges nothing: every epoch sees the same pictures.

    Usual causes:
    - A generator is seeded by the index of the row.
    - The seed is set in __getitem__.

    Fix:
    Draw from the global generator, or seed by epoch and index.

    Healthy runs that must pass:
    Rows without augmentation; random crops and noise; synthetic rows that are made from their index.

    Source:
    This project's list of checks: augment_frozen.
    """

    event = "augmentation"

    def look(self, event: Watch) -> Finding:
        of = event.values
        measured = of.get("same", math.nan) if of.get("draws", math.nan) != 0 else 0.0
        return Finding(
            code="frozen",
            measured=measured,
            bounds=(equal(0),),
            evidence=(Fact("draws", of.get("draws")),),
            phrase="the {draws} random numbers of a row are the same each time"
            if measured
            else "random numbers of a row that are the same each time {measured}",
        )


_case = Cases(AugmentationVaries())
PASSES = (
    _case("perfect_oracle", [{"draws": 144.0, "same": 0.0}]),
    _case("no_augmentation", [{"draws": 0.0, "same": 1.0}]),
)
FAILS = (
    _case("seeded", [{"draws": 144.0, "same": 1.0}], "frozen", 1.0, over=False),
    _case("not_a_number", [{"draws": 144.0, "same": math.nan}]),
)
