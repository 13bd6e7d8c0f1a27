"""The error of a law that a loss breaks."""

from __future__ import annotations

from lvmcheck.testing.losses import wording
from lvmcheck.testing.losses.batches import Batch
from lvmcheck.testing.losses.breach import Breach
from lvmcheck.testing.losses.lines import Line


class BrokenLawError(AssertionError):
    """A loss breaks a law.

    Attributes:
        law: its name. loss: the name of the loss. breach: what was measured, and the smallest batch that shows it.
        line: where to look, or None where the loss has no source.
    """

    def __init__(self, law: str, loss: str, breach: Breach, line: Line | None) -> None:
        self.law = law
        self.loss = loss
        self.breach = breach
        self.line = line
        super().__init__("\n".join(wording.lines(law, loss, breach, line)))

    @property
    def measured(self) -> float | tuple[int, ...]:
        """What was measured."""
        return self.breach.measured

    @property
    def example(self) -> Batch:
        """The smallest batch that breaks the law."""
        return self.breach.batch
