"""overfitting: training went on long after the best validation."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import apart, coded, found, train_facts, training_learns, validation_learned
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._curves import classes
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run, run_from


class Overfitting(Cause):
    """Validation was best early and gets worse ever since, while the training loss falls."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("overfits")
        if finding is not None and training_learns(evidence.run) and not _from_chance(evidence):
            learned = validation_learned(evidence.run) and finding.code == "rises_after_minimum"
            return found(
                self,
                Standing.LIKELY if learned and apart(evidence.run) is None else Standing.CONSISTENT,
                "overfitting: {metric} was best at {minimum}, and is {last} at the end",
                (
                    Fact("metric", finding.metric),
                    Fact("last", finding.measured),
                    *finding_facts(finding)[1:],
                    *train_facts(evidence.run),
                ),
                fix="stop at the best validation and keep its checkpoint; then more data, augmentation or fewer "
                "parameters",
                explain="overfits",
                explains=("memorises", "loss_diverging", "generalisation_gap", "val_loss_descends"),
                also=("label_noise",) if learned else ("label_mismatch", "validation_differs", "label_noise"),
                tell_apart="look at 50 training samples with the highest loss: wrong labels are label noise; "
                "evaluate training "
                "samples in the validation loop: bad there too is the loop",
            )
        return self._by_heart(evidence) or self._of_cosines(evidence)

    def _by_heart(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "memorises", "learned_by_heart")
        if finding is None:
            return None
        return found(
            self,
            Standing.LIKELY,
            "overfitting: the training loss is down to {train_last}, and {metric} stays at {validation_last}",
            (Fact("metric", finding.metric), *finding_facts(finding)),
            fix="stop when validation no longer gains; then more data, augmentation, weight decay or fewer parameters",
            explain="memorises",
            explains=("overfits", "loss_diverging", "generalisation_gap", "val_loss_descends"),
            also=("label_noise",),
            tell_apart="look at 50 training samples with the highest loss at the best validation: wrong labels are "
            "label noise",
        )

    def _of_cosines(self, evidence: Evidence) -> Diagnosis | None:
        series = evidence.run.series(METRIC)
        values, epochs = series.values.tolist(), series.epochs.tolist()
        if len(values) < 3 or not all(map(math.isfinite, values)):
            return None
        best = max(range(len(values)), key=values.__getitem__)
        lost = values[best] - values[-1]
        # Where only some epochs are recorded a step stands for all between them.
        falls = [
            (values[i] - values[i + 1]) / (epochs[i + 1] - epochs[i]) if epochs[i + 1] > epochs[i] else math.inf
            for i in range(best, len(values) - 1)
        ]
        if not lost > LOST or not epochs[best] <= EARLY * epochs[-1] or not max(falls, default=0.0) <= STEEP * lost:
            return None
        return found(
            self,
            Standing.LIKELY,
            "overfitting: validation was best at {best_cosine} and fell to {last_cosine}",
            (
                Fact("best_cosine", values[best], epoch=epochs[best]),
                Fact("last_cosine", values[-1], epoch=epochs[-1]),
                Fact("epochs_that_fell", sum(fall > 0 for fall in falls)),
            ),
            fix="stop at the best validation epoch and keep its checkpoint; then more data or fewer parameters",
            explain="generalisation_gap",
            explains=("overfits", "loss_diverging", "val_loss_descends"),
        )


METRIC = "val_cosine"
LOST = 0.03
"""Cosine lost since the best epoch; the healthy recorded run that overfits most, a GRU, loses 0.008."""
EARLY = 1 / 3
"""The best epoch lies in the first third of the run."""
STEEP = 0.5
"""Share of the loss that may fall into one step; more is a jump, not overfitting."""


def _from_chance(evidence: Evidence) -> bool:
    """Whether validation never left chance, or only got worse from where training began."""
    chance = evidence.failed("nothing_learned") or coded(evidence, "memorises", "above_untrained")
    return chance is not None or (
        evidence.failed("memorises") is not None
        and not validation_learned(evidence.run)
        and evidence.failed("loss_diverging") is not None
        and _at_uniform(evidence.run)
    )


def _at_uniform(run: Run) -> bool:
    known = classes(run)
    return known is not None and any(float(c.values.min()) > 0.9 * math.log(known) for c in run.curves.validation)


def _sparse(points: dict[int, float]) -> Run:
    runs = [run_from({METRIC: [value]}, first=epoch) for epoch, value in points.items()]
    return Run(events=tuple(event for run in runs for event in run.events), done={"status": "finished"})


_TRAIN = made.lines(20, 2.3, 0.4, 0.1, 0.02)
PASSES = (
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    case("attempt_2", made.val_run(made.AMN_790K_2_VAL)),
    case("gru_80k", _sparse({1: 0.3857, 13: 0.5754, 20: 0.5675})),
    case("collapsed_at_once", made.val_run((0.50, 0.55, *[0.54] * 6, 0.20))),
    case("not_a_number", made.val_run((0.5, 0.6, math.nan, 0.3))),
    case("both_fall", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.3, 0.5, 0.4, 0.38)}),
)
FAILS = (
    case("mlp_44k", _sparse({1: 0.480, 2: 0.487, 29: 0.397}), last_cosine=0.397),
    case("a_little_every_epoch", made.val_run([0.638, 0.649, *made.lines(27, 0.645, 0.594)])),
    case(
        "by_heart",
        {"train_loss": made.lines(40, 2.3, 0.05, 0.01), "val_loss": made.lines(40, 2.3, 1.3, 1.27, 1.28)}
        | {"val_acc": made.lines(40, 0.1, 0.59, 0.60, 0.601)},
        Standing.LIKELY,
    ),
    case("by_loss", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.2, 0.9, 1.6, 2.4)}, Standing.LIKELY),
)
