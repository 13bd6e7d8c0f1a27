"""Metrics of rank: areas under a ROC curve and concordances, of which a guess gives a half, and correlations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import words

RANKS = frozenset({"auc", "auroc", "rocauc", "aucroc", "concordance", "cindex"})
CORRELATIONS = frozenset({"spearman", "pearson", "kendall", "kappa", "mcc"})
FAIR = 0.15
"""Distance from a guess, of a half or less, from which ranks are learned."""

MOVES = 2e-3
"""Range over all evaluations below which nothing was learned in between."""


def guess(curve: Curve) -> float | None:
    """What guessing gives; None for another metric, or values that a rank metric cannot have."""
    said = words(curve.name)
    low, high = float(curve.values.min()), float(curve.values.max())
    index = ("c", "index") in pairwise(said)
    if (RANKS & set(said) or index) and not {"pr", "precision"} & set(said) and 0 <= low <= high <= 1:
        return 0.5
    return 0.0 if CORRELATIONS & set(said) and -1 <= low <= high <= 1 and "loss" not in said else None


def ranks_well(curve: Curve, level: float) -> bool:
    """Whether that level of a rank metric is far above a guess, and the ranks change from one evaluation to another."""
    chance = guess(curve)
    moves = float(np.ptp(curve.values)) > MOVES
    return chance is not None and moves and level - chance >= (FAIR if chance else 2 * FAIR)
