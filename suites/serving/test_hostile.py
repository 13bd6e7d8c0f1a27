"""Clients that lie about the size, never end, are slow, or leave: bounded memory, and the server goes on."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator

import pytest

from models.checkpoints.predictor import Predictor
from suites.serving.kit import CONTEXT, WIDTH, Served, eventually, extras, received, serving, vector_run

extras()

GIGABYTE = 1 << 30
HEAD = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(Predictor.load(vector_run(tmp_path_factory.mktemp("amn"))), read=0.3) as found:
        yield found


@pytest.fixture(autouse=True)
def goes_on(served: Served) -> Iterator[None]:
    """After each of them the server answers as ever, and nobody is waited for."""
    yield
    rows = [[[0.5] * WIDTH] * CONTEXT]
    assert served.ask("/predict", {"context": rows})[0] == 200
    assert eventually(lambda: served.metric("models_requests_in_flight") == 1)  # the one that asks


def peak() -> int:
    """Bytes of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sent_until_closed(connection: socket.socket, part: bytes, most: int) -> int:
    """Sends the part again and again; how many bytes were taken before the server closed."""
    total = 0
    try:
        while total < most:
            connection.sendall(part)
            total += len(part)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return total


def test_a_gigabyte_that_is_announced_is_refused_before_it_comes(served: Served) -> None:
    before = peak()
    with served.connect() as connection:
        connection.sendall(f"{HEAD}content-length: {GIGABYTE}\r\n\r\n{{".encode())
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"a Content-Length of 1073741824" in answer
    assert peak() - before < GIGABYTE // 20


def test_a_stream_without_end_is_ended(served: Served) -> None:
    before, part = peak(), b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with served.connect() as connection:
        connection.sendall(f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode())
        taken = sent_until_closed(connection, part, GIGABYTE)
        answer = received(connection)
    assert taken < GIGABYTE // 20  # the limit is 8 MB; what the sockets hold comes on top
    assert not answer or answer.startswith(b"HTTP/1.1 413")  # a reset may take the answer with it
    assert served.metric("models_requests_total", path="/predict", status="413") >= 1
    assert peak() - before < GIGABYTE // 20


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999", "x"])
def test_a_length_that_is_none(served: Served, length: str) -> None:
    with served.connect() as connection:
        connection.sendall(f"{HEAD}content-length: {length}\r\n\r\n".encode())
        assert received(connection)[:10] == b"HTTP/1.1 4"


def test_a_body_that_never_comes_whole(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"within 0.3 s" in answer


def test_a_client_that_leaves_in_the_middle_of_its_request(served: Served) -> None:
    before = served.metric("models_clients_gone_total")
    with served.connect() as connection:
        connection.sendall(f"{HEAD}content-length: 1000\r\n\r\n{{".encode())
    assert eventually(lambda: served.metric("models_clients_gone_total") == before + 1)


def test_headers_without_end_and_no_http(served: Served) -> None:
    for sent in (HEAD.encode() + b"x: " + b"y" * 100_000, b"\x16\x03\x01 no TLS here\r\n\r\n"):
        with served.connect() as connection:
            connection.sendall(sent)
            assert received(connection)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
