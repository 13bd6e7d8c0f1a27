"""ranks_normalise_enough: batch normalisation sees enough rows on each rank."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding, Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run, names
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

LEAST = 16.0


@dataclass(frozen=True, kw_only=True)
class RanksNormaliseEnough(Watched):
    """A BatchNorm that is not synchronised over ranks has at least 16 values of each channel on a rank (rows times
    positions).

    Why:
    Each rank normalises by the mean and variance of its own rows. With a global batch of 32 on 8 ranks that is four
    rows: noise that differs between ranks, while the running statistics that are saved are those of rank 0.

    Usual causes:
    - The global batch is divided among ranks, and BatchNorm is not converted.
    - More ranks than the batch was chosen for.

    Fix:
    ``model = nn.SyncBatchNorm.convert_sync_batchnorm(model)`` before wrapping it, or GroupNorm or LayerNorm.

    Healthy runs that must pass:
    SyncBatchNorm; images, which have many positions; 16 rows and more on each rank.

    Source:
    This project's list of faults of several ranks: unsynchronised batch-norm.
    """

    event = "rank_norms"
    mild = True

    def look(self, event: Watch) -> Finding:
        of = event.values
        return Finding(
            code="few_values",
            measured=of.get("values"),
            bounds=(floor(LEAST),),
            evidence=(Fact("ranks", of.get("ranks")), Fact("norms", of.get("norms")), *names(event, "module")),
            phrase="{module} normalises by {measured} values of a channel on each of {ranks} ranks",
        )


def _run(values: float) -> Run:
    return case_run("rank_norms", [{"ranks": 2.0, "values": values, "norms": 1.0}], ["body.1"])


_case = made.Cases(RanksNormaliseEnough())
PASSES = (_case("perfect_oracle", _run(512.0)), _case("sixteen", _run(16.0)))
FAILS = (
    _case("four_rows", _run(4.0), "few_values", 4.0, status=Status.WARNING),
    _case("not_a_number", _run(float("nan")), status=Status.WARNING),
)
