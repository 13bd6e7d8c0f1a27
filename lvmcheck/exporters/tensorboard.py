"""tensorboard: an event file a run, with scalars, text and hyperparameters."""

from __future__ import annotations

import math
import os
import socket
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.exporters import Earlier, marker
from lvmcheck.exporters.entry import End, ExportRun, Position, Scalars, TextTable, flat
from lvmcheck.exporters.names import Names
from lvmcheck.exporters.stream import spelled_out
from lvmcheck.extras import need

VERSION = "brain.Event:2"
LARGEST = (2 - 2**-23) * 2.0**127
"""The largest float32."""


def earlier(into: Path, exported: ExportRun) -> Earlier | None:
    return marker.found(into / exported.name, exported)


def begin(into: Path, exported: ExportRun) -> EventFile:
    return EventFile(into / exported.name, exported)


def _module(name: str) -> Any:
    return need(f"tensorboard.{name}", extra="export", purpose="exporting to TensorBoard")


class EventFile:
    """One run as one event file.

    Scalars are tensors of one float32: TensorBoard's fast data server, its default, leaves out tags of doubles without
    a word (seen with 2.21).
    """

    def __init__(self, folder: Path, exported: ExportRun) -> None:
        self._event = _module("compat.proto.event_pb2").Event
        self._summary = _module("compat.proto.summary_pb2").Summary
        self._tensor = _module("compat.proto.tensor_pb2").TensorProto
        self._shape = _module("compat.proto.tensor_shape_pb2").TensorShapeProto
        self._hparams = _module("plugins.hparams.plugin_data_pb2")
        self._hparams_metadata = _module("plugins.hparams.metadata")
        self._scalar = _module("plugins.scalar.metadata").create_summary_metadata("", "")
        self._text = _module("plugins.text.metadata").create_summary_metadata("", "")
        self._names = Names(folder, reserved=("epoch", "about/facts", "about/end"))
        self._tagged: set[str] = set()
        self._run_info = exported
        self._folder = folder
        self.place = str(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{int(exported.started)}.{socket.gethostname()}.{os.getpid()}.lvmcheck"
            self._file = (folder / name).open("xb")
        except OSError as problem:
            raise InputError(
                folder, f"cannot be written: {problem.strerror or problem}", fix="Another place: --into DIR."
            ) from None
        marker.write(folder, exported)
        self._records = _module("summary.writer.record_writer").RecordWriter(self._file)
        self._records.write(self._event(wall_time=exported.started, file_version=VERSION).SerializeToString())
        self._begin(exported)

    def scalars(self, entry: Scalars) -> None:
        named = {self._names(name): value for name, value in entry.values.items()}
        one = self._shape()
        self._write(
            entry.place,
            [
                self._summary.Value(
                    tag=tag,
                    metadata=self._once(tag, self._scalar),
                    tensor=self._tensor(dtype="DT_FLOAT", tensor_shape=one, float_val=[single(value)]),
                )
                for tag, value in {"epoch": float(entry.place.epoch), **named}.items()
            ],
        )

    def text(self, table: TextTable) -> None:
        self._say(table.place, self._names(table.tag), table.markdown())

    def flush(self) -> None:
        self._records.flush()

    def close(self, end: End | None) -> None:
        if end is not None:
            status = _module("plugins.hparams.api_pb2").Status.Value(f"STATUS_{_hparams_status(end.status)}")
            info = self._hparams.SessionEndInfo(status=status, end_time_secs=end.place.time)
            tag = self._hparams_metadata.SESSION_END_INFO_TAG
            self._declare(end.place, tag, self._hparams.HParamsPluginData(session_end_info=info))
            verdict = f"\n\nchecks {end.verdict}" if end.verdict is not None else ""
            self._say(end.place, "about/end", end.sentence + verdict)
        self._records.close()
        if end is not None:
            marker.write(self._folder, self._run_info, end.digest)

    # -- records -----------------------------------------------------------------------------------------------------
    def _begin(self, exported: ExportRun) -> None:
        """The hyperparameters, and what else is known of the run."""
        info = self._hparams.SessionStartInfo(group_name=exported.name, start_time_secs=exported.started)
        for name, value in flat(exported.config).items():
            if isinstance(value, bool):
                info.hparams[name].bool_value = value
            elif isinstance(value, int | float) and abs(value) < 1e300:
                info.hparams[name].number_value = float(value)
            else:
                info.hparams[name].string_value = spelled_out(value)
        place = Position(step=0, epoch=1, time=exported.started)
        tag = self._hparams_metadata.SESSION_START_INFO_TAG
        self._declare(place, tag, self._hparams.HParamsPluginData(session_start_info=info))
        if exported.facts:
            facts = TextTable(
                place=place, tag="about/facts", columns=("name", "value"), rows=tuple(sorted(exported.facts.items()))
            )
            self._say(place, facts.tag, facts.markdown())

    def _declare(self, place: Position, tag: str, info: Any) -> None:
        metadata = self._hparams_metadata.create_summary_metadata(info)
        self._write(place, [self._summary.Value(tag=tag, metadata=metadata, tensor=self._hparams_metadata.NULL_TENSOR)])

    def _say(self, place: Position, tag: str, text: str) -> None:
        tensor = self._tensor(
            dtype="DT_STRING", tensor_shape=self._shape(dim=[self._shape.Dim(size=1)]), string_val=[text.encode()]
        )
        self._write(place, [self._summary.Value(tag=tag, metadata=self._once(tag, self._text), tensor=tensor)])

    def _once(self, tag: str, metadata: Any) -> Any:
        """Metadata of a tag, which only its first value carries."""
        if tag in self._tagged:
            return None
        self._tagged.add(tag)
        return metadata

    def _write(self, place: Position, values: list[Any]) -> None:
        event = self._event(wall_time=place.time, step=place.step, summary=self._summary(value=values))
        self._records.write(event.SerializeToString())


def single(value: float) -> float:
    """The nearest float32 that is finite where the value is."""
    return max(-LARGEST, min(LARGEST, value)) if math.isfinite(value) else value


def _hparams_status(status: str) -> str:
    return {"finished": "SUCCESS", "open": "RUNNING"}.get(status, "FAILURE")
