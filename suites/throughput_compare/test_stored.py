"""Documents from outside: what is no document, damaged, enormous or of another kind is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.comparison.throughput import stored
from lvmcheck.errors import InputError
from suites.throughput_compare.pace_kit import stated

WHOLE = {"format": 1, "asked": 1, "missing": {}}


def document(*infos: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A document whose benchmarks ``b0``, ``b1`` ... state these results."""
    entries = [{"fullname": f"b{number}", "extra_info": info} for number, info in enumerate(infos)]
    body = {"machine_info": {"cpu": {"brand_raw": "x"}}, "benchmarks": entries, "lvmcheck": WHOLE}
    return {**body, **changes}


def refused(path: Path, text: str) -> str:
    """What is said of a file with this text, on one line that begins with its name."""
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        stored.read(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    assert len(said) < 1000
    return said.removeprefix(str(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "then.json"


def test_a_document_is_read(path: Path) -> None:
    path.write_text(json.dumps(document(stated(2.0, threads=1), {"rounds": 3}, stated(1, device="cuda"))))
    read = stored.read(path)
    assert list(read.results) == ["b0", "b2"]
    assert read.uncalibrated == ("b1",)
    assert read.devices == ("cpu", "cuda")
    assert (read.results["b0"].relative, read.results["b0"].settings) == (2.0, {"threads": 1})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "expected a JSON object, got []"),
        ({}, "got the keys nothing"),
        ({"suites": [], "lvmcheck": "0.1.0"}, "got the keys lvmcheck, suites"),
        (document(machine_info=None), "expected pytest-benchmark's document"),
        (document(), "none of 0 benchmarks states 'relative'"),
        (document({"rounds": 3}), "none of 1 benchmarks states 'relative'"),
        (document(stated(1.0), lvmcheck=None), "does not say whether its session measured all"),
        (document(stated(1.0), lvmcheck={**WHOLE, "format": 2}), "does not say whether"),
        (document(stated(1.0), lvmcheck={**WHOLE, "asked": 3, "missing": {"x": "not reached"}}), "1 of 3 benchmarks"),
        (document(benchmarks=[3]), "benchmarks[0]: expected a benchmark with fullname and extra_info"),
        (document(benchmarks=[{"fullname": "a", "extra_info": {}}] * 2), "benchmarks[1]: 'a' stands twice"),
        (document(benchmarks=[{}] * 10_001), "expected at most 10,000 benchmarks, got 10,001"),
        (document({"relative": 1.0}), "b0: extra_info: expected 'relative_low' beside 'relative', got nothing"),
        (document({"calibration": "k"}), "b0: extra_info: expected 'relative_low' beside 'calibration'"),
        (
            document(stated(1.0) | {"relative": "fast"}),
            "b0: extra_info.relative: expected a positive number (1e-12 to 1e+12), got 'fast'",
        ),
        (
            document(stated(1.0) | {"relative": True}),
            "extra_info.relative: expected a positive number (1e-12 to 1e+12), got 'True'",
        ),
        (document(stated(float("inf"))), "expected a positive number (1e-12 to 1e+12), got 'inf'"),
        (document(stated(1.0) | {"relative": 10**400}), "extra_info.relative: expected a positive number"),
        (document(stated(1.0) | {"relative_low": 1e-320, "relative": 1e300, "relative_high": 1e308}), "1e-12 to 1e+12"),
        (document(stated(1.0) | {"calibration": 7}), "extra_info.calibration: expected the name of a kernel, got '7'"),
        (document(stated(1.0, device="cdua")), "expected a kind of device, got 'cdua'. Did you mean 'cuda'?"),
        (document(stated(1.0) | {"device": ["cpu"]}), "expected a kind of device"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_is_no_document_of_results_is_refused(path: Path, body: object, says: str) -> None:
    assert says in refused(path, json.dumps(body))


def test_a_document_that_was_cut_off_is_refused_wherever_it_ends(path: Path) -> None:
    text = json.dumps(document(stated(1.0), stated(2.0)))
    for end in (0, 1, 40, len(text) // 2, len(text) - 1):
        said = refused(path, text[:end])
        assert "is not JSON" in said
        assert "A file that ends in the middle was cut off" in said


def test_no_nesting_size_or_key_of_a_file_is_trusted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nested too deeply" in refused(path, "[" * 100_000)
    assert "stands twice" in refused(path, '{"benchmarks": [], "benchmarks": []}')
    monkeypatch.setattr(stored, "MAX_BYTES", 100)
    assert "expected at most 100 bytes, got 101" in refused(path, " " * 101)
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="UTF-8"):
        stored.read(path)


@pytest.mark.parametrize("place", ["nowhere.json", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="expected a file, found none"):
        stored.read(tmp_path / place)
