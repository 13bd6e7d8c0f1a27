"""Causes that ranks of one run measure themselves."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Evidence
from lvmcheck.causes.watch._measured import Measured, values
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.view import Run

APART = 1e-4
"""Relative difference of the weights that ranks begin with."""
OWN = 0.5
"""Share of equal rows of two ranks below which each reads rows of its own."""


def _apart(evidence: Evidence) -> bool:
    return any(apart > APART for apart in values(evidence, "ranks_begin", "apart"))


def _same_rows(evidence: Evidence) -> bool:
    """Ranks read the same rows at the same steps: ranks_see_same_rows."""
    return any(same > OWN for same in values(evidence, "rank_rows", "same"))


def _no_rows_of_their_own(evidence: Evidence) -> bool:
    """Without rows of their own ranks have no distributed sampler."""
    shares = values(evidence, "rank_rows", "same", 1.0)
    return not shares or max(shares) > OWN


def _began(began: float, apart: float) -> Run:
    before = case_run("ranks_begin", [{"ranks": 2.0, "apart": began}])
    return before.extended(case_run("ranks", [{"ranks": 2.0, "apart": apart, "looks": 3.0, "over": 1.0}] * 3).events)


def _order(same: float, of_ranks: str = "rank_rows") -> Run:
    ranks = case_run(of_ranks, [{"ranks": 2.0, "same": 0.0}])
    return ranks.extended(case_run("epoch_order", [{"same": same, "rows": 32, "steps": 16}] * 2).events)


CAUSES: Sequence[Measured] = (
    Measured(
        cause="rank_is_gone",
        what="One rank exited before the others.",
        checks=("ranks_reach_the_end",),
        explains=("run_completed",),
        phrase="another rank had exited, or hung elsewhere, when rank 0 failed",
        fix="read that rank's output; give all ranks as many batches, and let them stop together (rec.stop)",
        healthy={
            "well": case_run(
                "rank_ends",
                [{"rank": 1.0, "behind": 0.0, "failed": 0.0, "ended": 1.0, "gone": 0.0, "rank_0_failed": 0.0}],
            )
        },
        shown={
            "measured": case_run(
                "rank_ends",
                [{"rank": 1.0, "behind": 3.0, "failed": 0.0, "ended": 0.0, "gone": 1.0, "rank_0_failed": 1.0}],
            )
        },
    ),
    Measured(
        cause="rank_is_slow",
        what="One rank makes the others wait.",
        checks=("ranks_keep_pace",),
        phrase="one rank takes longer in every step, and the others wait for it",
        fix="look at that rank's loader first (num_workers), then at its device and at the length of its rows",
        healthy={"well": case_run("rank_pace", [{"ranks": 2.0, "rank": 1.0, "slower": 1.0, "share": 0.3}] * 3)},
        shown={"measured": case_run("rank_pace", [{"ranks": 2.0, "rank": 1.0, "slower": 5.0, "share": 0.5}] * 3)},
    ),
    Measured(
        cause="ranks_miss_rows",
        what="No rank reads some of the rows.",
        checks=("ranks_cover_data",),
        codes=("rows_missing",),
        phrase="some rows are read by no rank, far more than drop_last explains",
        fix="leave num_replicas and rank of DistributedSampler to the process group",
        healthy={"well": case_run("rank_passes", [{"ranks": 2.0, "overlap": 0.0, "seen": 1.0}])},
        shown={"measured": case_run("rank_passes", [{"ranks": 2.0, "overlap": 0.0, "seen": 0.5, "spare": 0.1}])},
    ),
    Measured(
        cause="ranks_never_reduce",
        what="Gradients are never all-reduced.",
        checks=("ranks_reduce_once",),
        codes=("never_reduced",),
        explains=("ranks_agree",),
        phrase="gradients are never all-reduced: every rank trains its own model",
        fix="run the last backward pass of a step outside of no_sync()",
        healthy={"well": case_run("rank_syncs", [{"ranks": 2.0, "passes": 4.0, "synced": 1.0}] * 3)},
        shown={"measured": case_run("rank_syncs", [{"ranks": 2.0, "passes": 4.0, "synced": 0.0}] * 3)},
    ),
    Measured(
        cause="ranks_normalise_few_rows",
        what="Batch normalisation sees only the few rows of one rank.",
        checks=("ranks_normalise_enough",),
        phrase="BatchNorm normalises by the few rows of one rank",
        fix="nn.SyncBatchNorm.convert_sync_batchnorm(model) before wrapping it, or GroupNorm",
        healthy={"well": case_run("rank_norms", [{"ranks": 2.0, "values": 64.0, "norms": 1.0}], ["norm"])},
        shown={"measured": case_run("rank_norms", [{"ranks": 2.0, "values": 4.0, "norms": 1.0}], ["norm"])},
    ),
    Measured(
        cause="ranks_reduce_every_pass",
        what="Gradients are all-reduced in every backward pass of a step.",
        checks=("ranks_reduce_once",),
        codes=("reduced_often",),
        phrase="every micro-batch all-reduces all gradients, and waits for every rank",
        fix="run all backward passes of a step but the last under model.no_sync()",
        healthy={"well": case_run("rank_syncs", [{"ranks": 2.0, "passes": 4.0, "synced": 1.0}] * 3)},
        shown={"measured": case_run("rank_syncs", [{"ranks": 2.0, "passes": 4.0, "synced": 4.0}] * 3)},
    ),
    Measured(
        cause="ranks_report_their_own",
        what="Every rank reports the metrics of its own rows.",
        checks=("ranks_report_alike",),
        phrase="what is recorded is the metric of one rank's rows",
        fix="reduce sums and counts (rec.reduce(val_loss=(sum, rows))); in Lightning self.log(..., sync_dist=True)",
        healthy={"well": case_run("rank_metrics", [{"ranks": 2.0, "apart": 0.0}] * 3, ["val_loss"])},
        shown={"measured": case_run("rank_metrics", [{"ranks": 2.0, "apart": 0.2}] * 3, ["val_loss"])},
    ),
    Measured(
        cause="ranks_see_same_rows",
        what="All ranks train on the same rows.",
        checks=("ranks_draw_own_rows",),
        explains=("ranks_cover_data",),
        phrase="all ranks read the same rows: k ranks compute the gradient of one",
        fix="hand DistributedSampler(data) to the loader of each rank, and call its set_epoch before every epoch",
        healthy={"own": case_run("rank_rows", [{"ranks": 2.0, "same": 0.0}] * 4)},
        shown={"no_sampler": case_run("rank_rows", [{"ranks": 2.0, "same": 1.0}] * 3)},
    ),
    Measured(
        cause="ranks_split_differently",
        what="Every rank draws a split of its own.",
        checks=("ranks_split_alike",),
        phrase="every rank draws its own split, so that the weights have seen the validation rows",
        fix="random_split(data, sizes, generator=torch.Generator().manual_seed(seed)), with one seed for all ranks",
        healthy={"well": case_run("rank_split", [{"ranks": 2.0, "leaked": 0.0, "own": 0.0}])},
        shown={"measured": case_run("rank_split", [{"ranks": 2.0, "leaked": 0.5, "own": 0.0}])},
    ),
    Measured(
        cause="ranks_step_scheduler",
        what="The scheduler is stepped once for every rank.",
        checks=("ranks_schedule_once",),
        explains=("scheduler_steps",),
        phrase="the scheduler is stepped once for every rank, and reaches its end before the training does",
        fix="leave the scheduler out of accelerator.prepare, or multiply its length by the number of ranks",
        healthy={"well": case_run("rank_schedule", [{"ranks": 2.0, "calls": 80.0, "steps": 40.0, "horizon": 80.0}])},
        shown={"measured": case_run("rank_schedule", [{"ranks": 2.0, "calls": 80.0, "steps": 40.0, "horizon": 40.0}])},
    ),
    Measured(
        cause="ranks_begin_apart",
        what="Every rank starts with different weights.",
        unless=lambda evidence: not _apart(evidence),
        checks=("ranks_agree",),
        phrase="every rank starts with different weights, and nothing broadcasts those of rank 0",
        fix="wrap the model in DistributedDataParallel, or broadcast its parameters before the first step",
        healthy={"alike": _began(0.0, 0.0), "alike_and_drifted": _began(0.0, 0.1)},
        shown={"apart": _began(0.7, 0.7)},
    ),
    Measured(
        cause="ranks_drift",
        what="Every rank trains a model of its own.",
        unless=_apart,
        checks=("ranks_agree",),
        phrase="the ranks hold different weights after a step: each trains its own model",
        fix="call the model that DistributedDataParallel returns, not the module inside it",
        healthy={"equal": case_run("ranks", [{"ranks": 2.0, "apart": 0.0}] * 4)},
        shown={"raw_module_called": case_run("ranks", [{"ranks": 2.0, "apart": 0.01}] * 3)},
    ),
    Measured(
        cause="ranks_epoch_never_set",
        what="The distributed sampler gives the same order in every epoch: set_epoch is not called, or shuffle is off.",
        unless=_no_rows_of_their_own,
        checks=("epoch_order_changes", "rows_reshuffled"),
        codes=("same_order", "same_course"),
        explains=("epoch_pattern", "random_state_advances"),
        phrase="ranks read their own rows in one order in every epoch: set_epoch is not called, or shuffle is off",
        fix="DistributedSampler(data, shuffle=True), and sampler.set_epoch(epoch) before every epoch",
        healthy={"set": _order(0.0), "one_process": _order(1.0, "models")},
        shown={"never": _order(1.0)},
    ),
    Measured(
        cause="ranks_read_overlapping_rows",
        what="Ranks read rows of each other in one epoch.",
        unless=_same_rows,
        checks=("ranks_cover_data",),
        codes=("rows_overlap",),
        phrase="ranks read each other's rows in one epoch",
        fix="DistributedSampler(data); inside of an IterableDataset, cut the data by rank and worker",
        healthy={"well": case_run("rank_passes", [{"ranks": 2.0, "overlap": 0.0, "seen": 1.0}])},
        shown={"measured": case_run("rank_passes", [{"ranks": 2.0, "overlap": 1.0, "seen": 1.0}])},
    ),
)
