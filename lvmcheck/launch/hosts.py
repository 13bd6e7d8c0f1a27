"""Whom a trainer asks over a socket: another machine, or a server of this one that is none of its own."""

from __future__ import annotations

from typing import Any

NEAR = ("localhost", "::1", "0.0.0.0")
OF_PYTHON = ("pymp-", "\\x00")
"""Parts of the addresses of sockets by which processes of one trainer talk."""
LONGEST = 200


def far_host(address: Any) -> str:
    """The host of an address that is none of this machine; empty for others."""
    host = str(address[0]) if isinstance(address, tuple) else ""
    return "" if host in NEAR or host.startswith("127.") else host[:LONGEST]


def near_server(address: Any) -> str:
    """Host and port, or the file, of a server of this machine; empty for what belongs to Python's own processes."""
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"[:LONGEST] if address[0] else ""
    return "" if any(mark in repr(address) for mark in OF_PYTHON) else str(address)[:LONGEST]
