"""Figures that a loss is judged against: what a compressor needs, and what the generator's own surprise allows."""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence

from models.data.text.corpus import Corpus
from models.data.text.records import Record

SAMPLE = 10**6  # bytes of text that are compressed
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6}]


def compressor_bits_per_byte(records: Sequence[Record]) -> float:
    """Bits a byte that xz (raw LZMA2, level 6) needs for up to 1 MB of the texts, taken evenly over all records.

    A model knows the language and a compressor starts with nothing, so a good model may well need fewer bits; one
    that needs a tenth has seen the answers.
    """
    raw = _sample(records)
    return 8 * len(lzma.compress(raw, format=lzma.FORMAT_RAW, filters=_FILTERS)) / len(raw)


def _sample(records: Sequence[Record]) -> bytes:
    texts = [f"{record.text}\n".encode() for record in records]
    step = max(math.ceil(sum(map(len, texts)) / SAMPLE), 1)
    return b"".join(texts[::step])[:SAMPLE]


def loss_floor(validation: Corpus) -> float | None:
    """Nats a scored token below which no model gets that has not seen these very questions; None where unknown.

    The mean surprise of the questions under the generator that drew them (answers follow from them, so add nothing)
    and of which set they belong to, over the scored tokens of a record. Tokenisation can only add to it.
    """
    nats = [record.nats for record in validation.records if record.nats is not None]
    if len(nats) < len(validation) or not nats or validation.unscored.any():
        return None
    counts = validation.counts
    which = -sum(count * math.log(count / len(validation)) for count in counts.values())
    return (math.fsum(nats) + which) / validation.scored
