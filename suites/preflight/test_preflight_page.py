"""The page on pre-flight: its example prints what it shows, and its table has every probe."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from lvmcheck.watch.preflight.protocol import probes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "preflight.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    return PAGE.partition(f"```{kind}\n")[2].partition("```")[0]


def without_time(text: str) -> list[str]:
    return re.sub(r"in [\d.]+ s", "in TIME", text).splitlines()


def test_the_example_prints_what_the_page_shows() -> None:
    done = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    shown = without_time(block("text"))
    assert without_time(done.stdout)[: len(shown)] == shown


def test_the_table_has_every_probe() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == sorted(probe.name for probe in probes())
