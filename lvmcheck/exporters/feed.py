"""One run on its way into a logger: every event once, then its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from lvmcheck.checks.finding import Verdict
from lvmcheck.errors import InputError
from lvmcheck.exporters import Exporter, Sink
from lvmcheck.exporters.entry import End, TextTable
from lvmcheck.exporters.export_run import digest_of, export_run, verdict_of
from lvmcheck.exporters.stream import Stream
from lvmcheck.report.recorded import recorded_verdicts
from lvmcheck.report.verdicts import KINDS, kind, message
from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.view import Run


class Feed:
    """Exports one run, in one go or while it grows: :meth:`take` the events so far, then :meth:`end` once.

    Args:
        path: the run, as the person named it.
        exporter: of the logger.
        into: the folder to write into.
    """

    def __init__(self, path: Path, exporter: Exporter, into: Path) -> None:
        self.path = path
        self.epochs = self.points = 0
        self.place = str(into)
        self._exporter = exporter
        self._into = into
        self._taken: Run = Run()
        self._sink: Sink | None = None
        self._stream = Stream(0.0)

    def unchanged(self, run: Run) -> str | None:
        """Where an equal export is already.

        Raises:
            InputError: one of this run is there that is not equal, or another run in its place.
        """
        with _refusal(self._into):
            earlier = self._exporter.earlier(self._into, export_run(run, self.path))
        if earlier is None:
            return None
        if earlier.digest != digest_of(run, _verdicts(run)):
            how = "up to another point" if earlier.digest else "and broken off"
            raise InputError(
                earlier.place,
                f"{self.path} was exported here before, {how}; exported twice, its points would be double",
                fix="Delete that export, or give another place: --into DIR.",
            )
        return earlier.place

    def take(self, run: Run) -> None:
        """Export the events that are new since the last call.

        Raises:
            InputError: the run was cut back meanwhile, or the logger cannot write.
        """
        count = len(self._taken.events)
        # A follower extends what it has read; events that are other objects were read from the start again.
        if count and (len(run.events) < count or run.events[count - 1] is not self._taken.events[-1]):
            raise InputError(
                self.path,
                "went back to a checkpoint while it was exported; what came after that is exported already",
                fix="Delete this export and export the run again.",
            )
        with _refusal(self._into):
            sink = self._open(run)
            for event in run.events[count:]:
                for entry in self._stream.entries(event):
                    if isinstance(entry, TextTable):
                        sink.text(entry)
                    else:
                        sink.scalars(entry)
                        self.points += len(entry.values)
            sink.flush()
        self._taken, self.epochs = run, run.last_epoch

    def end(self, run: Run) -> None:
        """Export the rest, the verdicts beside the run and how it ended.

        Raises:
            InputError: as :meth:`take`, or the verdicts cannot be read.
        """
        verdicts = _verdicts(run)  # before anything is written
        self.take(run)
        with _refusal(self._into):
            sink = self._open(run)
            if verdicts:
                rows = tuple((it.name, KINDS[kind(it)], message(it)) for it in verdicts)
                place = replace(self._stream.place, time=self._stream.place.time + 1e-3)
                sink.text(
                    TextTable(place=place, tag="about/verdicts", columns=("check", "verdict", "finding"), rows=rows)
                )
            self._sink = None
            sink.close(
                End(
                    status=_status(run),
                    sentence=sentence(run),
                    digest=digest_of(run, verdicts),
                    verdict=verdict_of(verdicts),
                    place=self._stream.place,
                )
            )
        self.place = sink.place

    def abandon(self) -> None:
        """Let go of an export that did not come to its end."""
        if self._sink is not None:
            sink, self._sink = self._sink, None
            with suppress(Exception):  # why it is let go is on its way already
                sink.close(None)

    def _open(self, run: Run) -> Sink:
        if self._sink is None:
            exported = export_run(run, self.path)
            self._stream = Stream(exported.started)
            self._sink = self._exporter.begin(self._into, exported)
        return self._sink


def sentence(run: Run) -> str:
    """How it ended, or that it has no completion record yet."""
    if run.over:
        return run.stopped_where()
    return f"no completion record after epoch {run.last_epoch}: the run goes on, or died"


def with_death(run: Run) -> Run:
    """The run with what is recorded beside it of how its trainer died."""
    if run.done is not None or run.path is None:
        return run
    death = (read_json(run.path / rundir.FAILURE) or {}).get("death")
    return replace(run, death=str(death)[:600]) if death else run


def _verdicts(run: Run) -> tuple[Verdict, ...]:
    return (recorded_verdicts(run.path) or ()) if run.path is not None and run.path.is_dir() else ()


def _status(run: Run) -> str:
    if run.death is not None:
        return "died"
    return str(run.done.get("status", "failed")) if run.done is not None else "open"


@contextmanager
def _refusal(into: Path) -> Iterator[None]:
    """Whatever a logger refuses, as one clear error."""
    try:
        yield
    except InputError:
        raise
    except Exception as problem:  # each library's own
        text = " ".join(str(problem).split())[:300]
        raise InputError(into, f"cannot be written: {type(problem).__name__}: {text}") from None
