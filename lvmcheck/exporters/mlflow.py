"""mlflow: runs in a local SQLite store (``mlflow.db``) with their text as artifacts beside it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from lvmcheck.exporters import Earlier
from lvmcheck.exporters.entry import End, ExportRun, Scalars, TextTable, flat
from lvmcheck.exporters.names import Names
from lvmcheck.exporters.stream import spelled_out
from lvmcheck.extras import need

EXPERIMENT = "lvmcheck"
METRICS, ENTRIES = 1000, 100
"""Metrics and params that MLflow takes in one call."""
VALUE = 6000
"""Signs of a param that MLflow takes."""
RUN, DIGEST = "lvmcheck.run", "lvmcheck.digest"
STATUS = {"finished": "FINISHED", "failed": "FAILED", "died": "FAILED", "open": "RUNNING"}


def _module(name: str) -> Any:
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", MLFLOW_LOGGING_LEVEL="ERROR")
    return need(name, extra="export", purpose="exporting to MLflow")


def _client(into: Path) -> Any:
    store = f"sqlite:///{(into / 'mlflow.db').absolute()}"
    package = _module("mlflow")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # every migration of a new store tells of itself
    try:
        return package.MlflowClient(tracking_uri=store, registry_uri=store)
    finally:
        logging.disable(before)


def earlier(into: Path, exported: ExportRun) -> Earlier | None:
    if not (into / "mlflow.db").is_file():
        return None
    client = _client(into)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    runs = client.search_runs([experiment.experiment_id], f"tags.`{RUN}` = '{exported.identity}'", max_results=1)
    return (
        Earlier(f"{into / 'mlflow.db'} run {runs[0].info.run_id}", runs[0].data.tags.get(DIGEST, "")) if runs else None
    )


def begin(into: Path, exported: ExportRun) -> StoredRun:
    return StoredRun(into, exported)


class StoredRun:
    """One run of the store. Numbers are written when the sink is flushed, a thousand in one call."""

    def __init__(self, into: Path, exported: ExportRun) -> None:
        self._entities = _module("mlflow.entities")
        into.mkdir(parents=True, exist_ok=True)
        self._client = _client(into)
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        artifacts = (into / "artifacts").absolute().as_uri()
        number = (
            experiment.experiment_id
            if experiment is not None
            else self._client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        )
        tags = {RUN: exported.identity, **{f"about.{name}": fact for name, fact in exported.facts.items()}}
        self._id = self._client.create_run(
            number, start_time=_ms(exported.started), tags=tags, run_name=exported.name
        ).info.run_id
        self.place = f"{into / 'mlflow.db'} run {self._id}"
        self._names = Names(self.place, reserved=("epoch",), allowed=_allowed)
        self._metrics: list[Any] = []
        self._texts: dict[str, list[str]] = {}
        self._unwritten: set[str] = set()
        self._last = 0
        self._params(flat(exported.config))

    def scalars(self, entry: Scalars) -> None:
        # A store keeps milliseconds; entries of one would be merged when they are read.
        self._last = max(_ms(entry.place.time), self._last + 1)
        named = {self._names(name): value for name, value in entry.values.items()}
        self._metrics += [
            self._entities.Metric(name, value, self._last, entry.place.step)
            for name, value in {"epoch": float(entry.place.epoch), **named}.items()
        ]

    def text(self, table: TextTable) -> None:
        name = self._names(table.tag)
        heading = f"## step {table.place.step}, epoch {table.place.epoch}"
        self._texts.setdefault(name, []).append(f"{heading}\n\n{table.markdown()}\n")
        self._unwritten.add(name)

    def flush(self) -> None:
        pending, self._metrics = iter(self._metrics), []
        while block := list(islice(pending, METRICS)):
            self._client.log_batch(self._id, metrics=block)
        for name in sorted(self._unwritten):
            self._client.log_text(self._id, "\n".join(self._texts[name]), f"{name}.md")
        self._unwritten.clear()

    def close(self, end: End | None) -> None:
        if end is None:
            self._client.set_terminated(self._id, "KILLED")
            return
        self.flush()
        if end.verdict is not None:
            self._client.set_tag(self._id, "lvmcheck.verdict", end.verdict)
        self._client.set_tag(self._id, "mlflow.note.content", end.sentence)
        status = STATUS.get(end.status, "KILLED")
        if status == "RUNNING":
            self._client.update_run(self._id, status)
        else:
            self._client.set_terminated(self._id, status, end_time=_ms(end.place.time))
        self._client.set_tag(self._id, DIGEST, end.digest)

    def _params(self, config: Mapping[str, Any]) -> None:
        names = Names(self.place, reserved=(), allowed=_allowed)
        params: Iterable[Any] = (
            self._entities.Param(names(name), spelled_out(value)[:VALUE]) for name, value in config.items()
        )
        pending = iter(params)
        while block := list(islice(pending, ENTRIES)):
            self._client.log_batch(self._id, params=block)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _allowed(name: str) -> str:
    """Letters, digits, ``_ - . : /`` and spaces, as a path inside a folder."""
    parts = (part for part in re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII).split("/"))
    return "/".join(part for part in parts if part not in ("", ".", ".."))
