"""Makes the cases of causes: a run with what the diagnosis must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lvmcheck.causes.protocol import CauseCase, Standing
from lvmcheck.checks.finding import Scalar
from lvmcheck.run.view import Run, run_from


def case(
    name: str, run: Run | Mapping[str, Sequence[float]], standing: Standing | None = None, **facts: Scalar
) -> CauseCase:
    """A case of a run, or of its metrics by epoch; further keywords are facts of the evidence."""
    return CauseCase(name=name, run=run if isinstance(run, Run) else run_from(run), standing=standing, facts=facts)
