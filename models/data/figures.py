"""The figures a floor is read against: sizes, faults, trivial and linear predictors of a dataset's windows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.data import baselines
from models.data.baselines import SCORE_CAP, LinearMixture, Predict, sample
from models.data.mmap import take
from models.data.split import leak
from models.data.store import Corpus, Rows, Windows

Fact = float | int | str | list[float] | list[int] | list[str]


def sizes(prefix: str, windows: Windows) -> dict[str, Fact]:
    """Windows, chunks and articles in use, and how many of the chunks are zero or not finite, under ``prefix``."""
    rows = np.unique(windows.rows())
    nonfinite, zero = faults(windows.corpus, rows)
    return {
        f"{prefix}windows": len(windows),
        f"{prefix}chunks": len(rows),
        f"{prefix}articles": len(np.unique(windows.corpus.article[rows])),
        f"{prefix}nonfinite_chunks": int(nonfinite.sum()),
        f"{prefix}zero_chunks": int(zero.sum()),
    }


def faults(corpus: Corpus, rows: Rows, block: int = 8192) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks over ``rows``: holds a NaN or infinity; is all zero."""
    nonfinite, zero = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), block):
        part = take(corpus.vectors, rows[start : start + block])
        nonfinite[start : start + block] = ~np.isfinite(part).all(axis=1)
        zero[start : start + block] = ~part.any(axis=1)
    return nonfinite, zero


def finite(windows: Windows) -> Windows:
    """The windows without a non-finite chunk: one NaN must not hide every other figure."""
    rows = np.unique(windows.rows())
    bad = np.zeros(len(windows.corpus), dtype=bool)
    bad[rows] = faults(windows.corpus, rows)[0]
    return windows.select(np.asarray(~bad[windows.rows()].any(axis=1))) if bad.any() else windows


def predictors(train: Windows) -> dict[str, Predict]:
    """The baselines, by the name of their figure; the first and last are fitted on ``train``."""
    constant = baselines.mean_target(train)[None]
    linear: LinearMixture = baselines.fit_linear(train)
    return {
        "constant_mean": lambda _context: constant,
        "persistence": baselines.persistence,
        "mean_of_context": baselines.mean_of_context,
        "best_linear": linear.predict,
    }


def measure(
    train: Windows, validation: Windows, ood: Mapping[str, Windows], optimal: Mapping[str, Predict]
) -> dict[str, Fact]:
    """All figures of a dataset, validation under plain names and OOD under ``ood.<name>.``, as plain JSON types.

    ``best_linear`` is :class:`models.data.baselines.LinearMixture` fitted on ``best_linear_windows`` training
    windows. ``optimum`` is there only where the best predictor is known. Figures are measured on at most 20,000
    windows, drawn at random, without those that hold non-finite chunks; a set with none left has no figures.
    """
    facts: dict[str, Fact] = {"dim": validation.dim, "context": validation.context}
    facts |= sizes("train_", train) | sizes("validation_", validation)
    facts["leak"] = leak(train, validation)
    fit = sample(finite(train), baselines.FIT_CAP)
    facts["best_linear_windows"] = len(fit)
    known = predictors(fit) if len(fit) > 1 else {}
    for prefix, name, windows in [("", "validation", validation), *((f"ood.{n}.", n, w) for n, w in ood.items())]:
        usable = sample(finite(windows), SCORE_CAP)
        if prefix:
            facts |= sizes(prefix, windows)
        if not len(usable):
            continue
        facts |= {prefix + key: baselines.score(usable, predict) for key, predict in known.items()}
        if name in optimal:
            facts[f"{prefix}optimum"] = baselines.score(usable, optimal[name])
        facts[f"{prefix}lag_profile"] = baselines.lag_profile(usable)
    return facts
