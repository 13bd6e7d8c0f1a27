"""wandb: an offline run of Weights & Biases, which ``wandb sync`` sends when a person wants that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lvmcheck.exporters import Earlier, marker
from lvmcheck.exporters.entry import End, ExportRun, Scalars, TextTable
from lvmcheck.exporters.names import Names
from lvmcheck.extras import need
from lvmcheck.readers.wandb import GLOBAL_STEP

PROJECT = "lvmcheck"
STEP = GLOBAL_STEP
"""The axis of all metrics, under Lightning's name; W&B's own step counts the calls, and merges those of one step."""
TAG = 64
"""Signs of a tag that W&B takes."""


def earlier(into: Path, exported: ExportRun) -> Earlier | None:
    places = sorted(into.glob(f"wandb/offline-run-*-{exported.identity}"))
    return marker.found(places[-1], exported) or Earlier(str(places[-1]), "") if places else None


def begin(into: Path, exported: ExportRun) -> OfflineRun:
    return OfflineRun(into, exported)


class OfflineRun:
    """One run as one offline run: nothing is sent, and nothing is written outside ``into``.

    Text becomes one table for each tag, written at the end because W&B writes a table whole.
    """

    def __init__(self, into: Path, exported: ExportRun) -> None:
        own = str((into / "wandb" / "cache").absolute())
        os.environ.update(WANDB_MODE="offline", WANDB_ERROR_REPORTING="false", WANDB_CACHE_DIR=own, WANDB_DATA_DIR=own)
        self._wandb: Any = need("wandb", extra="export", purpose="exporting to W&B")
        into.mkdir(parents=True, exist_ok=True)
        settings = self._wandb.Settings(
            mode="offline",
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        known = (exported.facts.get("suite"), exported.facts.get("profile"), exported.facts.get("device"))
        self._run = self._wandb.init(
            project=PROJECT,
            dir=str(into.absolute()),
            id=exported.identity,
            name=exported.name,
            group=exported.facts.get("suite"),
            tags=list(dict.fromkeys(fact[:TAG] for fact in known if fact)),
            config={**exported.config},
            settings=settings,
        )
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP)
        for name, fact in exported.facts.items():
            self._run.summary[f"about/{name}"] = fact
        self._run_info = exported
        self._folder = Path(self._run.dir).parent
        self.place = str(into / "wandb" / self._folder.name)
        marker.write(self._folder, exported)
        reserved = ("epoch", STEP, *(f"about/{name}" for name in exported.facts), "about/end", "about/verdict")
        self._names = Names(self.place, reserved=reserved, allowed=lambda name: name.lstrip("_"))
        self._tables: dict[str, tuple[tuple[str, ...], list[list[object]]]] = {}

    def scalars(self, entry: Scalars) -> None:
        place = entry.place
        named = {self._names(name): value for name, value in entry.values.items()}
        self._run.log({"epoch": place.epoch, STEP: place.step, "_timestamp": place.time, **named})

    def text(self, table: TextTable) -> None:
        _, rows = self._tables.setdefault(self._names(table.tag), (table.columns, []))
        rows += [[table.place.step, table.place.epoch, *row] for row in table.rows]

    def flush(self) -> None:
        """W&B writes what it is given by itself."""

    def close(self, end: End | None) -> None:
        if end is None:
            self._run.finish(exit_code=255)
            return
        for tag, (columns, rows) in self._tables.items():  # in the history a table's sizes would be metrics
            self._run.summary[tag] = self._wandb.TextTable(columns=["step", "epoch", *columns], data=rows)
        notes = [str(row[2]) for row in self._tables.get("about/notes", ((), []))[1]]
        self._run.notes = "\n".join([end.sentence, *notes])
        self._run.summary["about/end"] = end.sentence
        if end.verdict is not None:
            self._run.summary["about/verdict"] = end.verdict
            self._run.tags = (*self._run.tags, f"checks {end.verdict}"[:TAG])
        self._run.finish(exit_code=0 if end.status == "finished" else 1)
        marker.write(self._folder, self._run_info, end.digest)
