"""``python -m suites.recorded.print_diagnose`` writes what ``lvmcheck diagnose`` prints into docs/diagnose.md."""

from __future__ import annotations

import re
from pathlib import Path

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.protocol import evaluate
from lvmcheck.readers import open_run
from lvmcheck.report.diagnosis import screen
from lvmcheck.run.weights import with_weights

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "diagnose.md"
BLOCK = re.compile(r"^(\$ lvmcheck diagnose fixtures/runs/(\w+)\n)(.*?)^```", re.M | re.S)


def printed(name: str) -> str:
    """The screen of a recorded run."""
    run = open_run(ROOT / "fixtures" / "runs" / name)
    verdicts = evaluate(with_weights(run)[0])
    return "\n".join(screen(run, diagnose(run, verdicts), verdicts)) + "\n"


def page() -> str:
    """The document with every screen as it is printed today."""
    return BLOCK.sub(lambda found: f"{found[1]}{printed(found[2])}```", PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
