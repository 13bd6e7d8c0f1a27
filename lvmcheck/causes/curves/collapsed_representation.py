"""collapsed_representation: the model answers the same whatever it is asked."""

from __future__ import annotations

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import coded, failed_first, found, score_lost, train_facts, validation_falls
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.role_names import words
from lvmcheck.run.view import Run, run_from


class CollapsedRepresentation(Coded):
    """Predictions or embeddings become one vector, whatever the input."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        finding, alike = evidence.failed("prediction_diversity"), evidence.last("val_self_similarity")
        if finding is not None and alike is not None and alike > ALIKE:  # a NaN names no cause
            constant, val = evidence.run.facts.get("constant_mean"), evidence.last("val_cosine")
            near = (Fact("val_cosine", val), Fact("constant_mean", constant)) if isinstance(constant, float) else ()
            return self._found(Standing.LIKELY, (*finding_facts(finding), *near), "prediction_diversity")
        empty = coded(evidence, "nothing_learned", "code_without_information")
        if empty is not None:
            return self._found(Standing.LIKELY, finding_facts(empty), "nothing_learned", "dominant_term")
        failing = failed_first(evidence, "memorises", "loss_diverging", "nothing_learned", "overfits")
        shrunk = _shrunk(evidence.run)
        lost = score_lost(evidence)
        if lost is not None and shrunk is None and validation_falls(evidence.run):
            facts = (*finding_facts(lost), *train_facts(evidence.run))
            return self._found(Standing.CONSISTENT, facts, "loss_diverging", "label_mismatch", "loss_not_computed")
        if failing is None or shrunk is None:
            return None
        return self._found(Standing.LIKELY, (shrunk, *finding_facts(failing)), "loss_diverging")

    def _found(self, standing: Standing, evidence: tuple[Fact, ...], explain: str, *also: str) -> Diagnosis:
        return found(
            self,
            standing,
            "the representation collapses: outputs are nearly one and the same",
            evidence,
            fix="add negatives, a variance term or a stop-gradient to the loss; lower the learning rate; if mean of "
            "context "
            "and constant mean are close the data are at fault",
            explain=explain,
            explains=(
                "memorises",
                "nothing_learned",
                "overfits",
                "loss_diverging",
                "prediction_diversity",
                "loss_balance",
            ),
            also=("not_learning", *also),
            tell_apart="print(embeddings.std(0).mean()) of one batch at the beginning and at the end",
        )


ALIKE = 0.9
"""Mean cosine of predictions with each other above which they are one."""
SPREAD = ("std", "spread", "diversity", "deviation", "rank")
LEFT = 0.25
"""Share of its first value that a spread keeps."""
POINT = 0.03
"""Spread of embeddings of unit variance that are one point."""


def _shrunk(run: Run) -> Fact | None:
    """A recorded spread of outputs that went to next to nothing."""
    for name, curve in run.curves.by_epoch.items():
        if len(curve) >= 4 and any(word in SPREAD for word in words(name)) and curve.values[0] > 0:
            last = float(np.median(curve.values[-2:]))
            if last < LEFT * float(curve.values[0]) or last < min(POINT, 0.5 * float(curve.values[0])):
                return Fact(name, last, epoch=int(curve.epochs[-1]))
    return None


def _run(alike: float, val: float) -> Run:
    logged = {"val_self_similarity": [alike], "val_target_mean_direction": [0.491], "val_cosine": [val]}
    return made.with_facts(run_from(logged), {"constant_mean": 0.484})


_PAIRS = {
    "loss": made.lines(20, 0.2, 0.001, 0.0002),
    "val/loss": made.lines(20, 4.81, 4.85),
    "val/top1": made.lines(20, 0.53, 0.25),
}
PASSES = (
    case("amn_on_the_twin", _run(0.458, 0.537)),
    case("not_a_number", _run(float("nan"), 0.5)),
)
FAILS = (
    case(
        "loss_without_negatives",
        {"train_loss": made.lines(20, 0.17, 0.01, 0.001), "val_loss": made.lines(20, 0.03, 0.005, 0.001)}
        | {"recall@5": made.lines(20, 0.34, 0.43, 0.3, 0.22)},
        Standing.CONSISTENT,
    ),
    case(
        "posterior_collapse",
        {"elbo_loss": made.lines(12, 39.0, 33.5, 33.5), "kl": made.lines(12, 4e-4, 1e-5, 1e-5)},
        Standing.LIKELY,
    ),
    case("constant", _run(1.0, 0.484), constant_mean=0.484),
    case("no_negatives", {**_PAIRS, "val/embedding_std": made.lines(20, 0.0155, 0.003, 0.0022)}),
)
