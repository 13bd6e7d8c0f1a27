"""docs/checks.md: every check and cause with its keys, and what a docstring must hold."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.manual import OPTIONAL, SECTIONS, entry, main, page
from lvmcheck.causes.protocol import cause_names
from lvmcheck.checks.protocol import Check, check_names, load_check
from lvmcheck.errors import InputError


def test_every_check_and_cause_is_on_the_page() -> None:
    text = page()
    assert all(f"\n## {name}\n" in text for name in check_names())
    assert all(f"- `{name}`: " in text for name in cause_names())
    assert "| `floor` | a number or a string | required |" in text


@pytest.mark.parametrize("missing", [section for section in SECTIONS if section not in OPTIONAL])
def test_a_missing_heading_is_named_with_its_file(missing: str) -> None:
    doc = inspect.cleandoc(load_check("cosine_floor").__doc__ or "")
    heading = f"{missing.capitalize()}:"
    assert f"\n{heading}\n" in doc

    @dataclass(frozen=True, kw_only=True)
    class Undocumented(Check):
        __doc__ = doc.replace(f"\n{heading}\n", "\n\n")

    with pytest.raises(InputError) as caught:
        entry("undocumented", Undocumented)
    assert caught.value.where == __file__
    assert heading in caught.value.problem


def test_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "checks.md"
    assert main([str(target)]) == 0
    assert target.read_text(encoding="utf-8") == page()
    assert main([]) == 0
    assert capsys.readouterr().out == page()


def test_bad_path_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none" / "checks.md")]) == 2
    message = capsys.readouterr().err
    assert "cannot be written: No such file or directory" in message
    assert message.count("\n") == 1
