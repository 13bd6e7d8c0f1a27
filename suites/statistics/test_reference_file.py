"""The reference file: reads back what was written, and refuses what was edited, cut or is something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmcheck.comparison.reference.make import changes
from lvmcheck.errors import InputError
from lvmcheck.statistics.reference_file import Reference, dumps, find, place, read

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
ONE = Reference(
    suite="toy",
    profile="smoke",
    device="cpu",
    seeds=(0, 1, 2),
    config={"lr": 5e-4, "data.name": "x", "data.path": None},
    metrics={"val_cosine": {1: (0.5, 0.501, 0.499), 2: (0.6, 0.601, 0.599)}},
    source="ab",
    versions="torch 2",
    by="me",
    when="2026-01-01T00:00:00Z",
    reason='the "first"',
    steps={0: ((5, 10), (1.0, 0.5))},
)


@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=4))
def test_reads_back_bit_by_bit(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, ...]]) -> None:
    path = tmp_path_factory.mktemp("reference") / "r.toml"
    wanted = replace(ONE, metrics={"m": dict(enumerate(rows, start=1))})
    path.write_text(dumps(wanted))
    assert read(path) == wanted


BAD = {
    "edited value": (("0.501", "0.511"), "edited by hand"),
    "edited mean": (("1 = [0.5,", "1 = [0.6,"), "edited by hand"),
    "a seed less": (("seeds = [0, 1, 2]", "seeds = [0, 1]"), "expected mean, spread and 2 values"),
    "newer format": (("format = 1", "format = 2"), "expected 1, got 2"),
    "no config": (("[config]", "[konfig]"), "expected a table [config]"),
    "not TOML": (("[reference]", "[reference"), "expected a reference in TOML"),
    "no epoch": (("1 = [0.5", "one = [0.5"), "expected the number of an epoch, got 'one'"),
    "no seeds": (("seeds = [0, 1, 2]", "seeds = []"), "expected a list of integers"),
    "no reason": (("reason =", "raison ="), "reference.reason: expected a string"),
    "steps of two lengths": (("last = [5, 10]", "last = [5]"), "steps.0: expected lists last and loss of one length"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_wrong_is_one_error(tmp_path: Path, bad: str) -> None:
    (old, new), says = BAD[bad]
    path = tmp_path / "smoke-cpu.toml"
    text = dumps(ONE)
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_reference(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a reference file, got a folder"):
        read(tmp_path)


def test_it_is_found_above_the_working_directory(tmp_path: Path) -> None:
    path = place(tmp_path, "a/b", "smoke", "cpu")
    path.parent.mkdir(parents=True)
    path.write_text(dumps(ONE))
    (tmp_path / "x" / "y").mkdir(parents=True)
    assert find("a/b", "smoke", "cpu", tmp_path / "x" / "y") == path
    assert find("a/b", "full", "cpu", tmp_path) is None


@pytest.mark.own_process
def test_it_is_found_above_the_run_wherever_the_process_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session judges in a thread while another test may have changed the working directory."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    path = place(project, "a/b", "smoke", "cpu")
    path.parent.mkdir(parents=True)
    path.write_text(dumps(ONE))
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert find("a/b", "smoke", "cpu") is None
    assert find("a/b", "smoke", "cpu", project / ".lvmcheck" / "runs" / "a" / "b" / "smoke-seed0") == path


def test_a_wider_band_and_fewer_seeds_are_called_loosened() -> None:
    wide = replace(ONE, metrics={"val_cosine": {1: (0.5, 0.52, 0.48), 2: (0.6, 0.62, 0.58)}})
    assert changes(ONE, wide)[-1].endswith("LOOSENED")
    assert not changes(wide, ONE)[-1].endswith("LOOSENED")
    assert changes(ONE, ONE) == []
    fewer = replace(ONE, seeds=(0, 1), metrics={"val_cosine": {1: (0.5, 0.501), 2: (0.6, 0.601)}})
    assert "seeds: 0, 1, 2 -> 0, 1" in changes(ONE, fewer)
    assert changes(ONE, replace(ONE, config={**ONE.config, "lr": 1e-3}))[0] == "config lr: 0.0005 -> 0.001"
    assert "val_cosine: removed, no longer judged" in changes(ONE, replace(ONE, metrics={"x": {1: (1.0, 2.0, 3.0)}}))
