"""What a server allows, and how it refuses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of a server.

    Attributes:
        body: bytes of a request. rows: contexts of a request. batch: contexts that are computed together.
        waiting: contexts that may wait, or texts that may be generated at once; more are refused with 503.
        new_tokens: most tokens of a generated text.
        read: seconds until the body of a request is there. work: seconds until it is answered.
        grace: seconds that requests have to end once the server is asked to stop.
        connections: at once.
    """

    body: int = 8 << 20
    rows: int = 1024
    batch: int = 256
    waiting: int = 4096
    texts: int = 64
    new_tokens: int = 512
    read: float = 10.0
    work: float = 30.0
    grace: float = 10.0
    connections: int = 512


class RefusedError(Exception):
    """A request that is not answered: its status, and one sentence for whoever sent it."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status, self.problem = status, problem
