"""What cannot be read: one short line that names what it is, at once."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lvmcheck.commands.main import BAD_INPUT, main
from lvmcheck.errors import InputError
from lvmcheck.readers import kinds, open_run

SECONDS = 2.0


def _folder(path: Path, *names: str) -> None:
    path.mkdir()
    for name in names:
        (path / name).write_text("hello")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"epoch,loss\n1,2\n" * 10_000)
        file.truncate(3 << 30)


UNREADABLE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("log.csv", lambda path: path.write_bytes(b""), "empty file"),
    "empty JSON": ("log.json", lambda path: path.write_bytes(b""), "empty file"),
    "blank": ("log.txt", lambda path: path.write_text("\n \n"), "blank"),
    "FIFO": ("log.csv", os.mkfifo, "FIFO"),
    "empty folder": ("runs", lambda path: path.mkdir(), "empty folder"),
    "folder of nothing": ("runs", lambda path: _folder(path, "a.txt", "b.png"), "a.txt"),
    "too large": ("log.csv", _sparse, "bytes"),
    "too many rows": ("log.csv", lambda path: path.write_bytes(b"epoch,loss\n" + b"1,2\n" * 2_000_001), "rows"),
    "too many objects": ("log.jsonl", lambda path: path.write_bytes(b'{"a":1}\n' * 2_000_001), "rows"),
    "UTF-16": ("log.csv", lambda path: path.write_text("epoch,loss\n1,2\n", encoding="utf-16"), "UTF-16"),
    "UTF-16 without a mark": ("log.csv", lambda path: path.write_text("epoch,loss\n", encoding="utf-16-le"), "UTF-16"),
    "Latin-1": ("log.csv", lambda path: path.write_text("epoch,café\n1,2\n", encoding="latin-1"), "0xe9"),
    "zeros": ("log.csv", lambda path: path.write_bytes(bytes(5000)), "binary"),
    "bytes": ("log.bin", lambda path: path.write_bytes(bytes(range(256)) * 4), "binary"),
    "gzip": ("log.csv.gz", lambda path: path.write_bytes(gzip.compress(b"epoch,loss\n1,2\n")), "gzip"),
    "pickle": ("log.pkl", lambda path: path.write_bytes(pickle.dumps({"loss": [1]})), "pickle"),
    "sheet": ("log.xlsx", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(60)), "Save the sheet as CSV"),
    "notebook": ("run.ipynb", lambda path: path.write_text('{"cells": [], "nbformat": 4}'), "a notebook"),
    "deep list": ("log.json", lambda path: path.write_text('[{"a":' * 100_000), "nested"),
    "deep object": ("log.jsonl", lambda path: path.write_text('{"a":' * 5000 + "1" + "}" * 5000), "nested"),
    "page": ("log.csv.html", lambda path: path.write_text("<!DOCTYPE html><p>"), "HTML"),
    "settings": ("config.json", lambda path: path.write_text('{"lr": 0.1, "model": {"size": 2}}'), "epoch"),
    "long list of numbers": ("log.json", lambda path: path.write_text(json.dumps([0] * 1_000_000)), "JSON"),
    "text": ("notes.txt", lambda path: path.write_text("hello\nworld\n"), "hello"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_it_is_one_short_line_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    file, make, word = UNREADABLE[name]
    make(tmp_path / file)
    began = time.process_time()
    assert main(["check", str(tmp_path / file)]) == BAD_INPUT
    assert time.process_time() - began < SECONDS
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith(str(tmp_path / file))
    said = err.removeprefix(str(tmp_path / file))
    assert len(said) < 250
    assert word in said


@pytest.mark.parametrize("kind", kinds())
def test_no_reader_waits_for_a_fifo(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(InputError, match="FIFO"):
        open_run(tmp_path / "log", kind=kind)


def test_a_fifo_inside_a_store_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "mlruns" / "0" / "aa"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: aa\n")
    os.mkfifo(run / "metrics" / "loss")
    code = "import sys; from lvmcheck.commands.main import main; sys.exit(main(['check', sys.argv[1]]))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=180)
    assert done.returncode == BAD_INPUT
    assert len(done.stderr.splitlines()) == 1


def test_the_only_log_of_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "config.json").write_text('{\n "lr": 0.1\n}\n')
    (tmp_path / "log.csv").write_text("epoch,loss\n1,2.0\n2,1.0\n")
    assert open_run(tmp_path).series("loss").values.tolist() == [2.0, 1.0]
    (tmp_path / "other.csv").write_text("epoch,loss\n1,2.0\n")
    with pytest.raises(InputError) as caught:
        open_run(tmp_path)
    assert "2 logs: log.csv, other.csv" in caught.value.problem
