"""docs/step-checks.md names checks, probes and fixtures that are there."""

from __future__ import annotations

import re
from pathlib import Path

from lvmcheck.checks.protocol import check_names
from lvmcheck.pytest_plugin import preflight as fixtures

ROOT = Path(__file__).parents[2]


def test_what_is_said_to_answer_is_there() -> None:
    text = (ROOT / "docs" / "step-checks.md").read_text(encoding="utf-8").partition("## What has no equal")[0]
    here = [line.split("|")[2] for line in text.splitlines() if line.startswith("|")][2:]
    found = [(kind, name) for cell in here for kind, name in re.findall(r"(probe |fixture )?`(\w+)`", cell)]
    probes = {path.stem for path in (ROOT / "lvmcheck" / "watch" / "preflight" / "probes").glob("*.py")}
    known = {"": set(check_names()), "probe ": probes, "fixture ": set(vars(fixtures))}
    assert len(found) > 50
    assert [item for item in found if item[1] not in known[item[0]]] == []
