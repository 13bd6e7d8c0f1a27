"""What one batch shows against a law, as facts."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.testing.losses.batches import Batch


@dataclass(frozen=True)
class Breach:
    """What one batch shows.

    Attributes:
        what: code of what was looked at, a key of :data:`lvmcheck.testing.losses.wording.WHAT`.
        measured: a number, or a shape. required: code of the comparison, and its number or shape.
        batch: the batch that shows it. at: rows and columns of the batch, where it is one number of it.
    """

    what: str
    measured: float | tuple[int, ...]
    required: tuple[str, float | tuple[int, ...]]
    batch: Batch
    at: tuple[int, ...] = ()
