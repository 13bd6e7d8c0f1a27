"""Binary logs that lie: lengths, checksums, schemas. Each is one clear error, before anything large is allocated."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from lvmcheck.readers import _records, detect, open_run
from lvmcheck.readers._records import BLOCK, WANDB, check_tfrecords, is_tfrecord, masked_crc32c, wandb_records

ROW = ("loss", 1.0, 0, 1, 1000)


# -- an SQLite store ---------------------------------------------------------------------------------------------------
def store(path: Path, rows: Iterable[tuple[object, ...]] = (ROW,), *, view: bool = False, runs: int = 1) -> Path:
    """A store with MLflow's tables, as far as they are read."""
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE runs (run_uuid, name, status, lifecycle_stage, start_time)")
        made.execute("CREATE TABLE params (key, value, run_uuid)")
        made.execute(f"CREATE TABLE {'hidden' if view else 'metrics'} (key, value, is_nan, step, timestamp, run_uuid)")
        if view:
            made.execute("CREATE VIEW metrics AS SELECT * FROM hidden")
        for number in range(runs):
            made.execute("INSERT INTO runs VALUES (?, 'same', 'FINISHED', 'active', 1)", (f"id{number}",))
        made.executemany(
            f"INSERT INTO {'hidden' if view else 'metrics'} VALUES (?, ?, ?, ?, ?, 'id0')", [tuple(row) for row in rows]
        )
        made.commit()
    return path


def test_a_sound_store_is_read(tmp_path: Path) -> None:
    path = store(tmp_path / "m.db", [("val_loss", 1.0 / s, 0, s, 1000 * s) for s in (1, 2, 3)])
    assert detect(path) == "mlflow"
    assert open_run(path).series("val_loss").values.tolist() == [1.0, 0.5, 1 / 3]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("loss", "oops", 0, 1, 1000)], "metric 'loss': expected a number, got 'oops'"),
        ([("loss", b"\0", 0, 1, 1000)], "expected a number"),
        ([("loss", None, 0, 1, 1000)], "expected a number, got none"),
        ([("loss", 1.0, 0, 1.5, 1000)], "step: expected a whole number"),
        ([("loss", 1.0, 0, -3, 1000)], "step: expected a whole number of at least 0, got -3"),
        ([("loss", 1.0, 0, 1, "now")], "expected a name and a time"),
        ([(7, 1.0, 0, 1, 1000)], "expected a name and a time"),
        ([("v", 1.0, 0, 2, 1000), ("v", 1.0, 0, 1, 2000)], "step 1 stands after step 2"),
        ([], "expected at least one row"),
    ],
)
def test_a_bad_row_of_a_store_is_refused(tmp_path: Path, rows: list[tuple[object, ...]], words: str) -> None:
    with pytest.raises(InputError) as caught:
        open_run(store(tmp_path / "m.db", rows))
    assert words in str(caught.value)


def test_a_view_is_no_table(tmp_path: Path) -> None:
    """A view may compute for ever."""
    path = store(tmp_path / "m.db", view=True)
    with pytest.raises(InputError, match="it is no MLflow store"):
        open_run(path, kind="mlflow")


def test_two_runs_of_one_name_are_told_apart_by_id(tmp_path: Path) -> None:
    path = store(tmp_path / "m.db", runs=2)
    with pytest.raises(InputError, match=r"got 2 called 'same' of 2: id0 \(same\), id1 \(same\)"):
        open_run(path, run="same")
    assert open_run(path, run="id0").step == 1
    with pytest.raises(InputError, match="got 0 called 'id7' of 2"):
        open_run(path, run="id7")


@settings(max_examples=40, deadline=None)
@example([(3962, 128)])  # a schema that is no text
@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 255)), min_size=1, max_size=12))
def test_a_damaged_store_is_a_run_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    path = store(tmp_path_factory.mktemp("s") / "m.db", [("v", 1.0, 0, s, s) for s in range(1, 50)])
    raw = bytearray(path.read_bytes())
    for place, value in changes:
        raw[place % len(raw)] = value
    path.write_bytes(raw)
    _run_or_one_error(path, "mlflow")


def _run_or_one_error(path: Path, kind: str) -> None:
    try:
        open_run(path, kind=kind)
    except InputError as problem:
        said = str(problem)
    else:
        said = ""
    assert len(said.splitlines()) <= 1


# -- frames ------------------------------------------------------------------------------------------------------------
def tfrecord(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + struct.pack("<I", masked_crc32c(length)) + payload + struct.pack("<I", masked_crc32c(payload))


def test_the_checksum_is_crc32c() -> None:
    """RFC 3720, B.4: the CRC-32C of 32 bytes of 0 is 0x8a9136aa."""
    crc = 0x8A9136AA
    assert masked_crc32c(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_event_files_are_known_by_their_first_record() -> None:
    assert is_tfrecord(tfrecord(b"\x1a\x0dbrain.Event:2" + bytes(9)))
    assert not is_tfrecord(tfrecord(b"something else, and long enough"))
    assert not is_tfrecord(bytes(64))


def test_a_record_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    length = struct.pack("<Q", 1 << 60)
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(tfrecord(b"x" * 30) + length + struct.pack("<I", masked_crc32c(length)) + bytes(64))
    with pytest.raises(InputError, match="byte 46: expected records of at most"):
        check_tfrecords(path)
    path.write_bytes(tfrecord(b"x" * 30) + bytes(64))
    with pytest.raises(InputError, match="byte 46: the checksum"):
        check_tfrecords(path)
    path.write_bytes(tfrecord(b"x" * 30) + tfrecord(b"y" * 30)[:-1])
    assert check_tfrecords(path) == 45


def wandb_log(*payloads: bytes) -> bytes:
    """Payloads in blocks of 32 KiB, as a LevelDB log has them."""
    out = bytearray(WANDB)
    for payload in payloads:
        rest, first = payload, True
        while True:
            left = BLOCK - len(out) % BLOCK
            if left < 7:
                out += bytes(left)
                left = BLOCK
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if not rest else 2) if first else (4 if not rest else 3)
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
            if not rest:
                break
    return bytes(out)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 90_000), min_size=1, max_size=5))
@example([BLOCK - 21, 10])  # leaves 7 bytes of the block: a header, and a first piece that is empty
def test_records_are_put_together_again(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    payloads = [bytes([i + 1]) * size for i, size in enumerate(sizes)]
    path = tmp_path_factory.mktemp("w") / "run-x.wandb"
    path.write_bytes(wandb_log(*payloads))
    assert list(wandb_records(path)) == payloads
    path.write_bytes(wandb_log(*payloads)[:-1])
    assert list(wandb_records(path)) == payloads[:-1]


def test_pieces_in_a_wrong_order_and_endless_records_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run-x.wandb"

    def piece(kind: int, payload: bytes) -> bytes:
        return struct.pack("<IHB", zlib.crc32(bytes([kind]) + payload), len(payload), kind) + payload

    for said in (piece(3, b"a"), piece(4, b"a"), piece(2, b"a") + piece(1, b"b"), piece(2, b"a") + piece(2, b"b")):
        path.write_bytes(WANDB + said)
        with pytest.raises(InputError, match="wrong order"):
            list(wandb_records(path))
    path.write_bytes(WANDB + piece(5, b"a"))
    with pytest.raises(InputError, match="checksum is wrong"):
        list(wandb_records(path))
    monkeypatch.setattr(_records, "MAX_RECORD", 2)
    path.write_bytes(WANDB + piece(2, b"aa") + piece(3, b"bb"))
    with pytest.raises(InputError, match="expected records of at most 2 bytes"):
        list(wandb_records(path))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="another header"):
        list(wandb_records(path))
