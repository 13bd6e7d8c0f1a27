"""What checks of rows and labels share: the facts below ``table.``, and runs that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lvmcheck.checks.finding import Outcome, not_recorded, pending
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.table import PREFIX, unmeasured
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class TableCheck(Check):
    """A check of rows and labels, decided before the first step. Subclasses name their facts and compare them."""

    universal: ClassVar[bool] = False
    metric_fields: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    """Facts below ``table.`` that it compares."""

    def compare(self, known: Mapping[str, Any]) -> Outcome:
        """The answer on the facts, by their names without ``table.``."""
        raise NotImplementedError

    def due(self, epochs: int) -> int:  # noqa: ARG002
        return 0

    def judge(self, run: Run) -> Outcome:
        known = {key.removeprefix(PREFIX): value for key, value in run.facts.items() if key.startswith(PREFIX)}
        if not known:
            return unmeasured() if run.of(ev.Data) or run.over else pending("the facts of the data")
        missing = [name for name in self.needs if name not in known]
        if missing:
            return not_recorded(f"not measured: {', '.join(missing)}")
        return self.compare(known)


def table_run(**facts: Any) -> Run:
    """A run that has measured its rows and labels."""
    found = {"train_rows": 1000, **facts}
    data = ev.Data(name="table", fingerprint="0", facts={f"table.{key}": value for key, value in found.items()})
    return Run(events=(data,))
