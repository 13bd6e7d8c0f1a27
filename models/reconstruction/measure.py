"""How near the text of a predicted vector comes to the true next chunk, beside the mean of the context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.data.store import Windows
from models.reconstruction.bank import Floats, Rows, TextBank, unit_rows
from models.runtime.bleu import bleu

QUERIES = 512
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Contexts [B, T, D] to predictions [B, D]."""


@dataclass(frozen=True)
class Reconstruction:
    """Windows whose next chunk was predicted and turned into text.

    Attributes:
        predicted, true: [Q, D] at unit length. right: the true texts. taken: rows [Q] of ``bank``.
        ranks: of the true rows [Q] in ``bank``, from 1; None where the bank is another corpus.
    """

    predicted: Floats
    true: Floats
    right: tuple[str, ...]
    bank: TextBank
    taken: Rows
    ranks: Rows | None

    @property
    def texts(self) -> list[str]:
        """What the predictions were turned into."""
        return [self.bank.texts[row] for row in self.taken]

    def figures(self) -> dict[str, float]:
        """All of them; ``bleu`` is absent without sacrebleu, and ranks where there are none."""
        pairs = zip(self.texts, self.right, strict=True)
        figures = {
            "cosine": _mean_cosine(self.predicted, self.true),
            "text_cosine": _mean_cosine(self.bank.unit(self.taken), self.true),
            "exact_match": sum(a == b for a, b in pairs) / len(self.right),
        }
        if self.ranks is not None:
            figures["mrr"] = float((1.0 / self.ranks).mean())
            figures["recall_at_10"] = float((self.ranks <= 10).mean())
            figures["median_rank"] = float(np.median(self.ranks))
        score = _bleu(self.texts, self.right)
        return figures if score is None else {**figures, "bleu": score}


def reconstruct(
    predict: Predict, windows: Windows, own: TextBank, *, bank: TextBank | None = None, queries: int = QUERIES
) -> Reconstruction:
    """The texts of the predictions for at most ``queries`` windows, evenly spread.

    Args:
        own: the texts of the windows' corpus. bank: where texts are taken from; by default ``own``, of which a window's
            context is left out.

    Raises:
        InputError: texts of another corpus, or a bank of another width.
    """
    if own.vectors.shape != windows.corpus.vectors.shape:
        problem = f"expected texts of vectors {windows.corpus.vectors.shape}, got those of {own.vectors.shape}"
        raise InputError("text bank", problem)
    used = own if bank is None else bank
    if used.vectors.shape[1] != windows.dim:
        raise InputError("text bank", f"expected vectors of width {windows.dim}, got {used.vectors.shape[1]}")
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(queries, len(windows))).astype(np.int64))
    context, _ = windows.batch(chosen)
    predicted = unit_rows(predict(context))
    all_rows = windows.rows(chosen).astype(np.int64)
    before, rows = all_rows[:, :-1], all_rows[:, -1]
    same = used is own
    taken, ranks = used.search(predicted, before if same else before[:, :0], rows if same else None)
    return Reconstruction(
        predicted=predicted,
        true=own.unit(rows),
        right=tuple(own.texts[row] for row in rows),
        bank=used,
        taken=taken,
        ranks=ranks,
    )


def compare(
    predict: Predict, windows: Windows, own: TextBank, *, bank: TextBank | None = None, queries: int = QUERIES
) -> tuple[dict[str, float], Reconstruction]:
    """The figures of ``predict``, those of the mean of the context as ``baseline_...``, and how many of what."""
    found = reconstruct(predict, windows, own, bank=bank, queries=queries)
    trivial = reconstruct(mean_of_context, windows, own, bank=bank, queries=queries).figures()
    counts = {"queries": float(len(found.right)), "bank": float(len(found.bank.texts))}
    return {**counts, **found.figures(), **{f"baseline_{name}": value for name, value in trivial.items()}}, found


def mean_of_context(context: NDArray[np.float32]) -> NDArray[np.float32]:
    """The trivial prediction [B, D]."""
    return np.asarray(context.mean(axis=1), dtype=np.float32)


def _mean_cosine(one: Floats, other: Floats) -> float:
    return float(np.einsum("qd,qd->q", one, other).astype(np.float64).mean())


def _bleu(taken: Sequence[str], right: Sequence[str]) -> float | None:
    try:
        return bleu(taken, right)
    except InputError:
        return None
