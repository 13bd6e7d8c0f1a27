"""``verdicts.json``: what the parent decided about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lvmcheck.checks.finding import Outcome, outcome_json
from lvmcheck.run import directory as rundir
from lvmcheck.run.events import spell
from lvmcheck.suite import CheckEntry, Suite


def write_verdicts(suite: Suite, entries: Sequence[CheckEntry], outcomes: Mapping[str, Outcome], folder: Path) -> None:
    """Write the outcome of every check that was asked for.

    Raises:
        InputError: the disk is full or the directory cannot be written.
    """
    body = [
        {
            "check": entry.node,
            "use": entry.use,
            "asked": f"{suite.path}:{entry.line}",
            "source": entry.source,
            "expected_failure": entry.expect is not None,
            **outcome_json(outcomes[entry.node]),
        }
        for entry in entries
    ]
    rundir.write_json(folder / rundir.VERDICTS, spell({"profile": suite.profile, "verdicts": body}))
