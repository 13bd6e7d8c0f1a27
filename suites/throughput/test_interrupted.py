"""A session that ends half-way, or asks for a place that is not there: what it says, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.throughput import conftest
from suites.throughput.document import BEGIN, END

pytestmark = pytest.mark.own_process  # it sets the environment

TESTS = """
def test_measured(figures):
    figures.add("data", "drawing", "9 windows/s", "half a step", "")

def test_interrupted():
    {then}

def test_never_reached(figures):
    figures.add("data", "never", "0", "0", "")
"""


def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, then: str, *options: str) -> pytest.RunResult:
    """A session of its own with the hooks of these measurements, asked to write a document."""
    pytester.makeconftest("from suites.throughput.conftest import *")
    pytester.makepyfile(test_half=TESTS.format(then=then))
    document(pytester).write_text(f"{BEGIN}\nold\n{END}\n", encoding="utf-8")
    monkeypatch.setenv("LVM_THROUGHPUT_WRITE", str(document(pytester)))
    monkeypatch.setattr(conftest, "HERE", pytester.path)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options, no_reraise_ctrlc=True)


def document(pytester: pytest.Pytester) -> Path:
    return pytester.path / "performance.md"


def test_an_interrupted_session_prints_what_it_has_and_writes_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = session(pytester, monkeypatch, "raise KeyboardInterrupt")  # what Ctrl-C is to Python
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*throughput*", "data:", "drawing*9 windows/s*", "*stays as it is*missing*"])
    result.stdout.no_fnmatch_line("never*")
    assert "old" in document(pytester).read_text(encoding="utf-8")


def test_a_part_of_the_measurements_writes_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    result = session(pytester, monkeypatch, "pass")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*stays as it is: only a part was measured*"])
    assert "old" in document(pytester).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "threads", "said"),
    [
        (("--lvm-device", "cudo"), "1", "--lvm-device: no device 'cudo'. Did you mean 'cuda'?"),
        ((), "many", "LVM_THROUGHPUT_THREADS: expected 1 to*got 'many'*"),
    ],
)
def test_a_place_that_is_not_there_ends_the_session_in_one_line(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], threads: str, said: str
) -> None:
    monkeypatch.setenv("LVM_THROUGHPUT_THREADS", threads)
    result = session(pytester, monkeypatch, "pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])
    assert "Traceback" not in result.stderr.str()
    result.stdout.no_fnmatch_line("data:")
