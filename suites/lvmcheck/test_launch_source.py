"""What decides a run is found in the text of its trainer: local modules, transitively, and nothing installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvmcheck.launch.source import source_digest, source_files

TRAINER = '''
"""A sentence that starts with from nowhere in particular."""
import json, first_part as f; import second_part
from third_part.deep import thing
from . import never
import numpy
def late():
    import \\
        fourth_part
    if True: import fifth_part
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "trainer_of_mine.py").write_text(TRAINER)
    for name in ("first_part", "second_part", "fourth_part", "fifth_part", "not_imported"):
        (tmp_path / f"{name}.py").write_text("import sixth_part\n" if name == "first_part" else "")
    (tmp_path / "sixth_part.py").write_text("x = 1\n")
    (tmp_path / "third_part").mkdir()
    for name in ("__init__", "deep", "beside"):
        (tmp_path / "third_part" / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_local_modules_are_found_and_nothing_else(here: Path) -> None:
    found = {str(path.relative_to(here)) for path in source_files("trainer_of_mine")}
    parts = {f"{name}_part.py" for name in ("first", "second", "fourth", "fifth", "sixth")}
    package = {f"third_part/{name}.py" for name in ("__init__", "deep", "beside")}
    assert found == {"trainer_of_mine.py"} | parts | package


def test_one_byte_of_any_of_them_changes_the_digest(here: Path) -> None:
    before = source_digest("trainer_of_mine")
    (here / "not_imported.py").write_text("y = 2\n")
    assert source_digest("trainer_of_mine") == before
    for name in ("trainer_of_mine.py", "sixth_part.py", "third_part/beside.py"):
        (here / name).write_text((here / name).read_text() + "\n")
        after = source_digest("trainer_of_mine")
        assert after != before
        before = after
