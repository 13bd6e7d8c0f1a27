"""What stands in place of a JSON file of a run directory and is none is refused at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lvmcheck.errors import InputError
from lvmcheck.run.directory import Follower
from lvmcheck.run.regular_file import read_json

POISON: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a directory": lambda path: path.mkdir(),
    "deep JSON": lambda path: path.write_text("[" * 100_000),
    "a long integer": lambda path: path.write_text('{"a": ' + "9" * 10_000 + "}"),
    "a huge file": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 33),
    "a loop of links": lambda path: path.symlink_to(path.name),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe{"),
}


@pytest.mark.parametrize("kind", POISON)
def test_it_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    POISON[kind](tmp_path / "run.json")
    began = time.process_time()
    assert read_json(tmp_path / "run.json") is None
    assert time.process_time() - began < 2


@pytest.mark.parametrize("kind", ["a FIFO", "an endless device", "a directory", "a huge file", "no UTF-8"])
def test_events_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    POISON[kind](tmp_path / "events.jsonl")
    began = time.process_time()
    try:
        assert Follower(tmp_path).read().events == ()
    except InputError as problem:
        assert "events.jsonl" in str(problem)  # noqa: PT017 - an unfinished line is no error yet
    assert time.process_time() - began < 2
