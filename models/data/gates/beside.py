"""What gates compare the data with. Imports no numpy, because configurations name it."""

from __future__ import annotations

from dataclasses import dataclass

ENCODERS = ("minilm",)
"""Encoders that can be run here; ``minilm`` is the model in the extra ``embed``."""


@dataclass(frozen=True)
class Beside:
    """Further inputs that gates compare the data with; empty ones were not asked for.

    Attributes:
        reference: a corpus that the data should contain.
        texts: the texts of the rows.
        golden: golden vectors.
        encoder: what encoded the vectors (:data:`ENCODERS`), to encode texts again.
    """

    reference: str = ""
    texts: str = ""
    golden: str = ""
    encoder: str = ""
