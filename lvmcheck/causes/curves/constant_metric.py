"""constant_metric: a logged metric is not measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run.view import run_from


class ConstantMetric(Cause):
    """The validation loss, or another metric, is a constant in the code: it was never measured."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        stuck, impossible = evidence.failed("val_loss_moves"), evidence.failed("plausible_range")
        said = [stuck.sentence(), *stuck.evidence] if stuck is not None and _mostly(evidence) else []
        if not said and (impossible is None or evidence.failed("finite") is not None):
            return None
        train = evidence.run.series("train_loss").values
        moved = (
            [f"train loss went from {train[0]:.4g} to {train[-1]:.4g} meanwhile: the weights did change"]
            if said and len(train) > 1 and train[0] != train[-1]
            else []
        )
        return Diagnosis(
            name=self.name(),
            sentence="the validation loss is a constant, not a measurement"
            if said
            else "a metric has a value that it cannot have: it was not measured",
            evidence=(*said, *moved, *((impossible.sentence(),) if impossible else ())),
            ruled_out=evidence.ruled_out(
                {
                    "effective_lr_matches_config": "learning rates of 0",
                    "gradients_reach_every_parameter": "weights that are not trained",
                    "finite": "numerical trouble",
                }
            ),
            fix="search the trainer for the number itself; measure on held-out data, and log nothing where nothing was "
            "measured",
            next="lvmcheck explain val_loss_moves" if said else "lvmcheck explain plausible_range",
            score=0.9 if said else 0.7,
        )


def _mostly(evidence: Evidence) -> bool:
    """Whether the validation loss has at most one value for every two epochs: equal neighbours may be rounding."""
    values = evidence.run.series("val_loss").values.tolist()
    return all(map(math.isfinite, values)) and 2 * len(set(values)) <= len(values)


PASSES: Sequence[CauseCase] = (
    CauseCase(name="amn_584k", run=made.val_run(made.AMN_584K_VAL)),
    CauseCase(name="rounded_plateau", run=run_from({"val_loss": [2.51, 2.4, 2.4, 2.39], "train_loss": [3, 2, 1.5, 1]})),
    CauseCase(name="not_a_number", run=run_from({"val_loss": [2.5, float("nan")], "exact_match": [0.1, float("nan")]})),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="the_literal_2.5",
        run=run_from({"train_loss": made.COGNATE_TRAIN_LOSS, "val_loss": [2.5] * 10}),
        says=("is a constant", "2.5", "from 0.6848 to 0.1153"),
    ),
    CauseCase(
        name="halting_7.5_of_4",
        run=language.epochs([], [], metrics={"halting_mean": [7.5, 7.5]}, config={"model": {"recursion_steps": 4}}),
        says=("cannot have", "halting mean 7.5"),
    ),
)
