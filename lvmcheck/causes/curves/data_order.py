"""data_order: the data come in an order."""

from __future__ import annotations

import math

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import coded, failed_first, found, leap
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import correlation


class DataOrder(Coded):
    """The loss follows the order of the data: batches are alike, or come in the same order in every epoch."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        leaps = coded(evidence, "epoch_pattern", "falls_and_leaps")
        repeats = leaps or coded(evidence, "epoch_pattern", "same_course")
        flat = failed_first(evidence, "nothing_learned", "loss_diverging", "memorises")
        alike = _alike(evidence.run) if flat is not None else None
        if coded(evidence, "loss_diverging", "worse_than_the_first_epoch") is not None:
            return None  # see weights_reset
        if repeats is None and alike is None:
            return None
        return found(
            self,
            Standing.CONSISTENT if leaps is None else Standing.LIKELY,
            "the data come in an order: the loss follows it",
            (*([alike] if alike is not None else []), *finding_facts(repeats), *finding_facts(flat)),
            fix="shuffle the training set in every epoch (shuffle=True, set_epoch)",
            explain="epoch_pattern",
            explains=("nothing_learned", "loss_diverging"),
            also=("not_learning",) if alike is not None else (),
            tell_apart="print the labels of the first five batches",
        )


NARROW = 60
"""Windows of a few steps each that are looked at."""
ALIKE, WIDE, JUMP = 0.3, 0.05, 5.0
"""Correlation of neighbouring steps, relative deviation of the loss, and largest over usual step, of batches alike."""
LOW, HIGH = 0.95, 1.5
"""Between these shares of its first value the loss stays."""


def _alike(run: Run) -> Fact | None:
    """How far the loss of a step is that of the step before: 0 where batches are drawn at random."""
    losses = run.curves.window_losses
    if losses is None or len(losses) < 20 or run.curves.adversarial or run.curves.rewards or leap(run) is not None:
        return None
    widths = np.diff(losses.steps, prepend=0)
    values = losses.values[:NARROW][widths[:NARROW] <= 2 * max(int(widths.min()), 1)]
    if len(values) < 20 or not values[0] > 0:
        return None
    x = np.arange(len(values), dtype=np.float64)
    rest = values - np.polyval(np.polyfit(x, values, 2), x)
    steps = np.abs(np.diff(values))
    alike = correlation(rest[:-1], rest[1:])
    wide = float(rest.std()) > WIDE * float(np.median(values)) and float(steps.max()) > JUMP * float(np.median(steps))
    stays = LOW < float(values[-10:].mean()) / float(values[0]) < HIGH
    return Fact("correlation_of_steps", alike) if alike > ALIKE and wide and stays else None


_SORTED = [2.08 + 0.5 * math.exp(-((i + 5) % 10) / 3) + 0.02 * math.sin(7.3 * i * i) for i in range(60)]
PASSES = (
    case("learns", made.window_run(made.lines(40, 2.3, 0.4))),
    case("flat_at_random", made.window_run(wave(2.3, 0.3, 60))),
)
FAILS = (
    case("sorted_by_class", made.window_run(_SORTED, steps=1), Standing.CONSISTENT),
    case("same_course", made.window_run([1.2 - 0.001 * i + 0.2 * ((i % 10) ** 2 % 7) for i in range(60)], steps=50)),
)
