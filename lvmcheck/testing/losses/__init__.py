"""Laws of loss functions, each a function that takes a loss and searches for a batch that breaks it.

    from lvmcheck.testing import losses

    def test_my_loss():
        losses.finite(my_loss)
        losses.gradient(my_loss)
        losses.zero_vectors(my_loss)

A loss is any ``loss(prediction, target)``; batches come from a strategy of :mod:`hypothesis`, by default
:func:`vectors`. A law that is broken raises :class:`BrokenLawError` with what was measured, what is required, the
smallest batch that breaks it and the line to look at. docs/losses.md.
"""

from lvmcheck.testing.losses.batches import PRECISIONS, Batch, binary, classes, probabilities, vectors
from lvmcheck.testing.losses.broken import BrokenLawError
from lvmcheck.testing.losses.laws import (
    LAWS,
    finite,
    gradient,
    least_at_target,
    no_broadcast,
    reduction,
    row_order,
    same_in_every_precision,
    weight_scale,
    zero_vectors,
)

__all__ = [
    "LAWS",
    "PRECISIONS",
    "Batch",
    "BrokenLawError",
    "binary",
    "classes",
    "finite",
    "gradient",
    "least_at_target",
    "no_broadcast",
    "probabilities",
    "reduction",
    "row_order",
    "same_in_every_precision",
    "vectors",
    "weight_scale",
    "zero_vectors",
]
