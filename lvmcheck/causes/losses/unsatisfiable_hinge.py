"""unsatisfiable_hinge: a hinge requires what its input cannot have."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.shares import active_terms
from lvmcheck.run.view import Run, run_from

TERM = "train_loss_variance"
LOWEST = 1 - 1 / math.sqrt(made.D)
"""mean_d relu(1 - std_d) of unit vectors of 768 dimensions: no std exceeds 1 / sqrt(D), by the mean over dimensions."""


class UnsatisfiableHinge(Cause):
    """A variance hinge requires a standard deviation of 1 of unit vectors, which have at most 1 / sqrt(D)."""

    reads_loss = True

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        run = evidence.run
        values = run.series(TERM).values.tolist()
        weight = active_terms(run).get("variance", 0.0)
        dim = run.facts.get("dim")
        lowest = 1 - 1 / math.sqrt(dim) if isinstance(dim, int) and not isinstance(dim, bool) and dim > 0 else LOWEST
        if not weight or not values or not all(lowest <= value <= 1.0 for value in values):
            return None
        return Diagnosis(
            name=self.name(),
            # It adds a constant and a small gradient: another cause comes first.
            standing=Standing.CONSISTENT,
            phrase="the variance hinge (weight {weight}) cannot be satisfied by unit vectors: it stays above {lowest}",
            evidence=facts(weight=weight, lowest=lowest, smallest=min(values), largest=max(values), epochs=len(values)),
            explains=frozenset({"loss_balance"}),
            fix="require a standard deviation of 1 / sqrt(D), or drop the term",
            next="lvmcheck explain loss_balance",
        )


def _run(values: Sequence[float], weight: float) -> Run:
    losses = [1.0 + weight * value for value in values]
    metrics = {"train_loss": losses, "train_loss_mse": [1.0] * len(values), TERM: values}
    return run_from(metrics, config={"loss": {"mse": 1.0, "variance": weight}})


PASSES = (
    case("satisfied_by_raw_vectors", _run([0.9, 0.4, 0.0], 0.005)),
    case("only_watched", _run([0.99, 0.98, 0.97], 0.0)),
    case("not_a_number", _run([0.99, math.nan], 0.005)),
)
FAILS = (
    case("october_13", _run([0.9998, 0.9807, 0.9666], 0.005), smallest=0.9666, largest=0.9998, weight=0.005),
    case("at_its_bound", _run([1.0, 1.0, 1.0], 0.01), smallest=1.0),
)
