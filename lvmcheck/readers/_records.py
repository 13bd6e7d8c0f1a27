"""Framed records of binary logs, checked before anything is allocated: TensorBoard's TFRecord and W&B's LevelDB log."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lvmcheck.errors import InputError

MAX_RECORD = 64 << 20
MAX_FILE = 2 << 30
BLOCK = 32_768
WANDB = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)


def _table() -> list[int]:
    values = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        values.append(value)
    return values


_CRC32C = _table()


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated and shifted so that a checksum of checksums is no constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def is_tfrecord(start: bytes) -> bool:
    """Whether the first bytes of a file frame an event of TensorBoard."""
    if len(start) < 24:
        return False
    length, check = struct.unpack_from("<QI", start)
    return length <= MAX_RECORD and check == masked_crc32c(start[:8]) and b"brain.Event:" in start[12 : 12 + length]


def check_tfrecords(path: Path) -> int:
    """Walk the frames of an event file without reading what they hold.

    Returns:
        Bytes of an unfinished last record (0 where the file is whole).

    Raises:
        InputError: too large, a length that its checksum denies, or a record larger than any event.
    """
    size = bounded(path)
    place = 0
    with path.open("rb") as file:
        while place + 12 <= size:
            file.seek(place)
            header = file.read(12)
            length, check = struct.unpack("<QI", header)
            if check != masked_crc32c(header[:8]):
                raise InputError(path, f"byte {place:,}: the checksum of a record's length is wrong; it is damaged")
            if length > MAX_RECORD:
                raise InputError(path, f"byte {place:,}: expected records of at most {MAX_RECORD:,} bytes: {length:,}")
            if place + length + 16 > size:
                break
            place += length + 16
    return size - place


def bounded(path: Path) -> int:
    """The size of a file that is small enough to be read.

    Raises:
        InputError: it is not.
    """
    try:
        size = path.stat().st_size
    except OSError as problem:
        raise InputError(path, f"cannot be read: {problem.strerror or problem}") from None
    if size > MAX_FILE:
        raise InputError(path, f"expected at most {MAX_FILE:,} bytes, got {size:,}")
    return size


def wandb_records(path: Path) -> Iterator[bytes]:
    """Payloads of a ``.wandb`` file: 7 bytes of header, blocks of 32 KiB, records in pieces (first, middle, last).

    An unfinished last record, as a killed run leaves it, ends the iteration.

    Raises:
        InputError: another file, a wrong checksum, pieces in a wrong order, or a record that is too large.
    """
    bounded(path)
    with path.open("rb") as file:
        if file.read(len(WANDB)) != WANDB:
            raise InputError(path, "expected a W&B log, got another header")
        pieces, inside = bytearray(), False  # inside a record whose first piece may be empty: 7 bytes end a block
        for kind, payload in _pieces(file, path):
            if (kind in (1, 2)) == inside:
                raise InputError(
                    path, f"byte {file.tell():,}: pieces of a record stand in a wrong order; it is damaged"
                )
            pieces += payload
            if len(pieces) > MAX_RECORD:
                raise InputError(path, f"byte {file.tell():,}: expected records of at most {MAX_RECORD:,} bytes")
            inside = kind in (2, 3)
            if not inside:
                yield bytes(pieces)
                pieces.clear()


def _pieces(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    while True:
        left = BLOCK - file.tell() % BLOCK
        if left < 7:
            file.seek(left, os.SEEK_CUR)
        header = file.read(7)
        if len(header) < 7:
            return
        check, length, kind = struct.unpack("<IHB", header)
        payload = file.read(length)
        if len(payload) < length:
            return
        if not 1 <= kind <= 4 or check != zlib.crc32(header[6:7] + payload):
            raise InputError(path, f"byte {file.tell() - length - 7:,}: a record's checksum is wrong; it is damaged")
        yield kind, payload
