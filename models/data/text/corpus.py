"""Records tokenised once, into one flat array with offsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.data.store import run_starts
from models.data.text.records import CONTINUATIONS, Record, fingerprint
from models.data.text.tokenizer import TextTokenizer

BLOCK = 4096


@dataclass(frozen=True)
class Corpus:
    """M records and their tokens.

    Attributes:
        records: [M]. tokens: flat int32, one record after the other, each closed by ``end``.
        first: [M] int64, the place of a record's first token. lengths: [M] int32, its positions: tokens without the
            end, each of which has a target (the token after it, at last the end).
        unscored: [M] int32, how many of them, at the beginning, have a target that is not scored.
    """

    records: tuple[Record, ...]
    tokens: NDArray[np.int32]
    first: NDArray[np.int64]
    lengths: NDArray[np.int32]
    unscored: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.records)

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Corpus:
        """The records of a mask [M] or of row numbers; their tokens are copied, so that the rest can be freed."""
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        counts = self.lengths[rows].astype(np.int64) + 1
        tokens = self.tokens[run_starts(self.first[rows], counts)]
        records = tuple(self.records[row] for row in rows)
        return Corpus(records, tokens, np.cumsum(counts) - counts, self.lengths[rows], self.unscored[rows])

    @cached_property
    def counts(self) -> dict[str, int]:
        """Records by data set."""
        return dict(Counter(record.dataset for record in self.records))

    @cached_property
    def scored(self) -> int:
        """Scored targets of all records together."""
        return self.positions - int(self.unscored.sum(dtype=np.int64))

    @cached_property
    def positions(self) -> int:
        """Positions of all records together."""
        return int(self.lengths.sum(dtype=np.int64))

    @cached_property
    def bytes(self) -> int:
        """UTF-8 bytes of all texts together, as far as they are scored."""
        scored = (f" {r.answer}" if skipped else r.text for r, skipped in zip(self.records, self.unscored, strict=True))
        return sum(len(text.encode()) for text in scored)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of exactly these records."""
        return fingerprint(self.records)


def tokenise(records: Sequence[Record], tokenizer: TextTokenizer, *, answers_only: bool = False) -> Corpus:
    """The corpus of all records; with ``answers_only`` what is asked is read and not scored, in sets that ask.

    Prompt and answer are encoded apart, so that the tokens of a prompt are always those that the model was trained on.
    """
    pieces: list[NDArray[np.int32]] = []
    lengths = np.empty(len(records), dtype=np.int32)
    unscored = np.zeros(len(records), dtype=np.int32)
    for start in range(0, len(records), BLOCK):
        block = records[start : start + BLOCK]
        prompts = tokenizer.encode_batch([record.prompt for record in block])
        answers = tokenizer.encode_batch([f" {record.answer}" for record in block])
        flat: list[int] = []
        for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True), start):
            lengths[index] = len(prompt) + len(answer)
            if answers_only and records[index].dataset not in CONTINUATIONS:
                unscored[index] = len(prompt) - 1
            flat += prompt
            flat += answer
            flat.append(tokenizer.end)
        pieces.append(np.array(flat, dtype=np.int32))
    counts = lengths.astype(np.int64) + 1
    tokens = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int32)
    return Corpus(tuple(records), tokens, np.cumsum(counts) - counts, lengths, unscored)
