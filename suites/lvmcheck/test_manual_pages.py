"""The generated pages are what the code says, whole, and written by one command."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from docs.manual import PAGES, main
from lvmcheck.causes.protocol import cause_names
from lvmcheck.pytest_plugin.constants import INI, OPTIONS
from lvmcheck.run.events import KINDS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"


def test_every_cause_is_shown_by_its_diagnosis_of_a_run() -> None:
    text = PAGES["causes.md"]()
    for name in cause_names():
        entry = text.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
        assert entry.count("```") == 2
        assert "\nfix: " in entry
        assert "\nnext: " in entry
        assert "Not named in: " in entry


def test_every_event_and_field_is_there() -> None:
    text = PAGES["events.md"]()
    for name, kind in KINDS.items():
        entry = text.split(f"\n## `{name}`\n", 1)[1].split("\n## ", 1)[0]
        rows = [line for line in entry.splitlines() if line.startswith("| `")]
        assert [row.split("`")[1] for row in rows] == [field.name for field in dataclasses.fields(kind)]
    assert "| `loss_mean` | number | required |" in text
    assert "| `terms` | object of terms | empty |" in text
    assert "| `resumed_at_step` | integer | absent |" in text
    assert "Mapping" not in text


def test_every_option_is_there() -> None:
    rows = [line for line in PAGES["options.md"]().splitlines() if line.startswith("| `--lvm")]
    assert [row.split("`")[1].split()[0] for row in rows] == list(OPTIONS)
    assert sum(row.count("`lvm_") for row in rows) == len(INI)


def test_one_command_writes_them_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PAGES)
    assert main([str(tmp_path / "cause.md")]) == 2
    assert "no generated page has that name. Did you mean 'causes.md'?" in capsys.readouterr().err
