"""Reports that a runner signs: what is not signed, is changed since, or is signed by another key is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from suites.ci.gate_kit import REQUIRE, ask_here, scripts, seal
from suites.ci.test_gate_edits import COMMIT, healthy

KEY = "k" * 40


def key(folder: Path, text: str = KEY, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "gate.toml").write_text(REQUIRE)
    path = tmp_path / "report.json"
    path.write_text(seal(healthy()))
    return path


def asked(report: Path, *words: str | Path) -> tuple[int, str]:
    said = ask_here(report, "--require", report.parent / "gate.toml", "--commit", COMMIT, *words)
    return said.returncode, said.stdout + said.stderr


def sign(report: Path, path: Path) -> int:
    return int(scripts()[0].main(["sign", str(report), "--key", str(path)]))


def another(report: Path) -> None:
    report.with_name("report.json.sig").write_text("0" * 64)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda _: None, ""),
    "its signature": (another, "signature_differs"),
    "no signature": (lambda it: it.with_name("report.json.sig").unlink(), "not_signed"),
    "a pipe for a signature": (lambda it: pipe(it.with_name("report.json.sig")), "not_a_file"),
    "a byte more": (lambda it: it.write_text(it.read_text() + " "), "signature_differs"),
    "another key": (lambda it: key(it.parent, "o" * 40), "signature_differs"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_signed(report: Path, change: str) -> None:
    act, code = CHANGES[change]
    mine = key(report.parent)
    assert sign(report, mine) == 0
    act(report)
    status, said = asked(report, "--key", mine)
    assert status == bool(code)
    assert not code or f"[{code}]" in said
    assert asked(report)[0] == 0  # a gate without a key asks for no signature


@pytest.mark.parametrize(("text", "mode"), [("k" * 31, 0o600), ("k" * 4097, 0o600), (KEY, 0o640), (KEY, 0o604)])
def test_a_key_that_is_none(report: Path, text: str, mode: int) -> None:
    bad = key(report.parent, text, mode)
    assert sign(report, bad) == 2
    status, said = asked(report, "--key", bad)
    assert (status, "[unusable]" in said) == (2, True)
    assert asked(report, "--key", report.parent / "none")[0] == 2
    pipe(bad)
    assert asked(report, "--key", bad)[0] == 2


@pytest.mark.parametrize("length", [32, 4096])
def test_keys_of_the_least_and_the_greatest_length(report: Path, length: int) -> None:
    assert sign(report, key(report.parent, "k" * length)) == 0


def test_nothing_is_signed_without_a_key(report: Path) -> None:
    with pytest.raises(SystemExit) as left:
        scripts()[0].main(["sign", str(report)])
    assert left.value.code == 2


@pytest.mark.own_process
def test_a_key_does_not_lie_in_the_checkout(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q"], cwd=report.parent, check=True)
    monkeypatch.chdir(report.parent)
    assert sign(report, key(report.parent)) == 2


def test_what_cannot_be_signed(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(report.parent, key(report.parent)) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_selftest_is_signed_too(report: Path) -> None:
    scripts()
    read, refused = sys.modules["gate_selftest"].read_selftest, sys.modules["gate_finding"].Refused
    for name, code in (("report.json", "not_signed"), ("none.json", "no_report")):
        with pytest.raises(refused) as caught:
            read(report.with_name(name), key=KEY.encode())
        assert caught.value.reason.code == code
