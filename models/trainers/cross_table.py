"""Every model on every set: what tells a bad model from a bad set, and a bad pair of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from lvmcheck.errors import InputError
from models.data.store import Windows
from models.trainers.evaluation import evaluate, evaluate_model, mean_of_context

BASELINE = "mean_of_context"


@dataclass(frozen=True)
class CrossTable:
    """Mean cosine by model and set, with the mean of the context as one more model.

    Attributes:
        cosines: model -> set -> mean cosine of prediction and target.
    """

    cosines: Mapping[str, Mapping[str, float]]

    def margins(self) -> dict[str, dict[str, float]]:
        """Cosine minus that of the mean of the context on the same set: sets differ in how predictable they are."""
        base = self.cosines[BASELINE]
        return {
            name: {where: value - base[where] for where, value in row.items()}
            for name, row in self.cosines.items()
            if name != BASELINE
        }

    def lines(self) -> list[str]:
        """A Markdown table of the cosines."""
        sets = list(self.cosines[BASELINE])
        rows = [
            f"| {name} | {' | '.join(f'{row[where]:.4f}' for where in sets)} |" for name, row in self.cosines.items()
        ]
        return [f"| model | {' | '.join(sets)} |", f"|---|{'---|' * len(sets)}", *rows]


def cross_table(
    models: Mapping[str, nn.Module],
    sets: Mapping[str, Windows],
    *,
    batch_size: int = 512,
    device: torch.device | None = None,
) -> CrossTable:
    """Evaluates every model, in evaluation mode and left as it was, on every set.

    Raises:
        InputError: no set, or a model named like the baseline.
    """
    if not sets or BASELINE in models:
        problem = "expected at least one set" if not sets else f"a model may not be called {BASELINE!r}"
        raise InputError("cross table", problem)
    where = device or torch.device("cpu")
    cosines = {
        name: {
            key: evaluate_model(model, each, batch_size=batch_size, device=where).cosine for key, each in sets.items()
        }
        for name, model in models.items()
    }
    cosines[BASELINE] = {
        key: evaluate(mean_of_context, each, batch_size=batch_size, device=where).cosine for key, each in sets.items()
    }
    return CrossTable(cosines)
