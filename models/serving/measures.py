"""What /metrics says: counters and histograms of prometheus_client in a registry of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Measures:
    """Counts of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # CPU time and memory, where the system tells them
        names = ("path", "status")
        self.requests = Counter("models_requests", "requests answered", names, registry=self.registry)
        self._seconds = Histogram(
            "models_request_seconds", "time to the last byte", ("path",), buckets=SECONDS, registry=self.registry
        )
        self._batch = Histogram("models_batch_rows", "contexts computed together", buckets=ROWS, registry=self.registry)
        self.rows = Counter("models_predictions", "vectors predicted", registry=self.registry)
        self.tokens = Counter("models_tokens", "tokens generated", registry=self.registry)
        self.gone = Counter("models_clients_gone", "clients that left before their answer", registry=self.registry)
        self._busy = Gauge("models_requests_in_flight", "requests being answered", registry=self.registry)

    @contextmanager
    def request(self, path: str) -> Iterator[None]:
        """Times one request."""
        began = time.perf_counter()
        with self._busy.track_inprogress():
            yield
        self._seconds.labels(path).observe(time.perf_counter() - began)

    def batch(self, rows: int) -> None:
        """A batch of so many contexts is computed."""
        self._batch.observe(rows)
        self.rows.inc(rows)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
