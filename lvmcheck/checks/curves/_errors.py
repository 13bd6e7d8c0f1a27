"""What a wrong answer costs: a validation loss beside the accuracy of the same evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lvmcheck.checks.curves._curves import accuracies, aligned
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run

if TYPE_CHECKING:
    from lvmcheck.run.curves import Floats

LEAST = 6
"""Evaluations from which a level is one."""
COST, RIGHT = 15.0, 0.75
"""Nats that a wrong answer costs on average, and share of right answers, that do not go together."""
STAYS = 0.7
"""Share of its beginning at which a loss has stayed where it was."""


def nats_per_error(run: Run, val: Curve) -> float | None:
    """Least nats for a wrong answer where they are too many in every evaluation, and loss and errors fall together."""
    for right, losses in answers(run, val):
        nats = losses / np.maximum(1 - right, 1e-3)
        falls = float(np.median(losses[-3:])) < STAYS * float(losses[0]) and right[-3:].mean() > right[0]
        if falls and float(right[-1]) >= RIGHT and float(nats.min()) > COST:
            return float(nats.min())
    return None


def answers(run: Run, val: Curve) -> Iterator[tuple[Floats, Floats]]:
    """Shares of right first answers of the evaluations in which a loss was measured, and the loss."""
    for accuracy in accuracies(run, Split.VALIDATION):
        if accuracy.role.group != val.role.group or {"top3", "top5", "top10"} & set(words(accuracy.name)):
            continue
        right, losses = aligned(accuracy, val)
        if len(right) >= LEAST and val.role.quantity is Quantity.LOSS:
            yield (right / 100 if accuracy.role.unit == "%" else right), losses
