"""docs/checks.md is what the docstrings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.manual import main, page
from lvmcheck.causes.protocol import cause_names
from lvmcheck.checks.protocol import check_names

DOCS = Path(__file__).parents[2] / "docs" / "checks.md"


def test_docs_are_up_to_date() -> None:
    assert DOCS.read_text(encoding="utf-8") == page(), "run: python -m docs.manual docs/checks.md"


def test_every_check_and_cause_is_on_the_page() -> None:
    text = page()
    assert all(f"\n## {name}\n" in text for name in check_names())
    assert all(f"- `{name}`: " in text for name in cause_names())
    assert "| `floor` | float or string | required |" in text
    assert "| `max_ratio` | float | `20.0` |" in text


def test_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "checks.md"
    assert main([str(target)]) == 0
    assert target.read_text(encoding="utf-8") == page()
    assert main([]) == 0
    assert capsys.readouterr().out == page()


def test_bad_path_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none" / "checks.md")]) == 2
    said = capsys.readouterr().err
    assert "cannot be written: No such file or directory" in said
    assert said.count("\n") == 1
