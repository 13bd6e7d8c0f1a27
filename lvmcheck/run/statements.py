"""What a loop may say beside its steps and epochs: its data and model, stages, samples, probes, checkpoints, notes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lvmcheck.errors import BadValueError
from lvmcheck.run import events as ev
from lvmcheck.run.baselines import Kind, baselines, collect
from lvmcheck.run.origin import digest_of
from lvmcheck.run.preflights import PREFLIGHT, take
from lvmcheck.run.reduce import reduced
from lvmcheck.run.roles import declared
from lvmcheck.run.stopping import Stopping
from lvmcheck.run.table import measure as measure_table
from lvmcheck.run.values import misused, numbers, refused

TASKS = {"tokens": "vocabulary", "classes": "classes", "values": "target_variance"}
"""Task -> the fact that only its baselines have."""
ONE_TASK = "A run has the baselines of one task."
SAMPLE = 4000  # characters of a prompt or a generated text that are kept


class Statements:
    """Methods of the recorder that write one event each."""

    path: Path
    steps: int
    epochs: int
    _judge: Callable[[Any, bool], None] | None
    _stopping: Stopping
    _data_name = "data"
    _roles: dict[str, dict[str, Any]]
    _baselines: str | None = None
    _now: Callable[[], float]
    _write: Callable[[ev.Event], None]
    _finish_window: Callable[[], None]
    _still_setting_up: Callable[[], None]

    def preflight(self, model: Any, batch: Any, loss: Any = None, optimizer: Any = None, **more: Any) -> Any:
        """Check model, loss and optimizer on one batch (:func:`lvmcheck.preflight`); the findings belong to this run.

        So do those of an ``lvmcheck.preflight`` of the model that this run watches, or, where it watches none, of the
        last ones before its first steps.
        """
        report = import_module("lvmcheck.watch.preflight.start").preflight(model, batch, loss, optimizer, **more)
        self._preflights(getattr(model, "_orig_mod", model))
        return report

    def origin(self, *, model: Any = None, batch: Any = None) -> None:
        """What this run begins with, as digests: the first weights of the model, or the first batch.

        Seeds that share both are one run (``across``, references and calibrate refuse them), whatever their curves say.
        """
        weights, first = (digest_of(value) or None if value is not None else None for value in (model, batch))
        if weights or first:
            self._write(ev.Origin(t=self._now(), weights=weights, batch=first))

    def _preflights(self, model: Any = None) -> None:
        """Record the pre-flights that waited for this run, and say what failed."""
        for found in take(model):
            event = ev.Watch(
                name=PREFLIGHT, epoch=self.epochs + 1, step=self.steps, subjects=found.subjects, values=found.values
            )
            import_module("lvmcheck.watch.live").Live(self).measured(event)

    def data(
        self, *, name: str, fingerprint: str, facts: Mapping[str, Any] | None = None, notes: Sequence[str] = ()
    ) -> None:
        """What the run is trained on; afterwards :attr:`stop` holds the live judge's answer, before the first step."""
        self._data_name = name
        self._write(
            ev.Data(t=self._now(), name=name, fingerprint=fingerprint, facts=dict(facts or {}), notes=tuple(notes))
        )
        if self._judge is not None:
            self._judge(self, True)
        self._stopping.word("data", 1, self.steps)
        self._still_setting_up()

    def reduce(self, **parts: tuple[Any, Any]) -> dict[str, float | None]:
        """Means over all ranks, exactly: ``rec.reduce(val_loss=(sum_of_losses, rows))``; every rank calls it.

        Sums and counts are added up over the default process group, so ranks with fewer rows, or none, count for what
        they have. Of a single process it is the mean itself; None, which ``rec.epoch`` leaves out, is a count of 0.

        Raises:
            InputError: not a sum and a count, other names on other ranks, or no process group.
        """
        return reduced(parts)

    def baselines(self, targets: Any, kind: Kind | None = None, *, classes: int | None = None) -> None:
        """What predictors that learn nothing score on these targets (:func:`lvmcheck.run.baselines.baselines`).

        Args:
            targets: an array, tensor or list of targets, or a loader of batches ``(inputs, targets)``.
            kind: "classes", "tokens", "values" or "series"; by default classes for integers, values for floats.
        """
        array = collect(targets)
        facts = baselines(array, kind, classes=classes)
        task = next((name for name, fact in TASKS.items() if fact in facts), "targets")
        if self._baselines not in (None, task):
            raise refused("baselines", f"targets of the same task ({self._baselines}), got {task}", ONE_TASK)
        self._baselines = task
        self.data(name=self._data_name, fingerprint=hashlib.sha256(array.tobytes()).hexdigest(), facts=facts)

    def table(self, train: Any, val: Any = None) -> None:
        """Measure rows and labels (:mod:`lvmcheck.run.table`): duplicates across the split, order, balance, alignment.

        Args:
            train: rows [N, ...], or a tuple of rows and integer labels [N].
            val: the same of the validation split.
        """
        facts = measure_table(train, val)
        digest = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
        self.data(name=self._data_name, fingerprint=digest, facts=facts)

    def model(
        self, *, kind: str, parameters: int, digest: str = "", components: Mapping[str, int] | None = None
    ) -> None:
        """What is trained; ``parameters`` counts the trainable ones, ``components`` splits them."""
        parts = dict(components or {})
        self._write(ev.Model(t=self._now(), kind=kind, parameters=parameters, digest=digest, components=parts))
        self._still_setting_up()

    def stage(
        self,
        *,
        index: int,
        name: str,
        fingerprint: str,
        records: Mapping[str, int] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """A stage of a curriculum begins; ``records`` counts its training records by data set."""
        self._finish_window()
        event = ev.Stage(
            t=self._now(),
            index=index,
            name=name,
            epoch=self.epochs + 1,
            step=self.steps,
            fingerprint=fingerprint,
            records=dict(records or {}),
            facts=dict(facts or {}),
        )
        self._write(event)
        self._still_setting_up()

    def sample(
        self, name: str, *, prompt: str, text: str, answer: str | None = None, dataset: str | None = None
    ) -> None:
        """What the model continued ``prompt`` with, generated "greedy" or "sampled"; cut to 4,000 characters."""
        event = ev.Sample(
            t=self._now(),
            name=name,
            epoch=self.epochs + 1,
            step=self.steps,
            prompt=prompt[:SAMPLE],
            text=text[:SAMPLE],
            answer=answer,
            dataset=dataset,
        )
        self._write(event)

    def declare(self, metrics: Sequence[str] = (), *, roles: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Promise the metrics of every epoch, so that a check on another name fails at once.

        Args:
            roles: what a metric is where its name does not say it, such as
                ``{"val_score": {"direction": "higher", "low": 0.0, "high": 1.0}}``.
        """
        stated = {name: self._role(name, said) for name, said in (roles or {}).items()}
        self._write(ev.Declare(t=self._now(), metrics=tuple(metrics), roles=stated))
        self._still_setting_up()

    def _role(self, name: str, said: Any) -> dict[str, Any]:
        """A role as it is declared for the first time.

        Raises:
            InputError: it is none, contradicts the name, or another one is declared already; with the call's line.
        """
        table = dict(said) if isinstance(said, Mapping) else {"quantity": said}
        known = self._roles.setdefault(name, table)
        if known != table:
            raise refused(f"roles.{name}", f"{known} as it is declared already, got {table}", None)
        try:
            declared(name, table)
        except BadValueError as problem:
            del self._roles[name]
            raise misused(problem.key, problem.problem, problem.fix) from None
        return table

    def probe(self, name: str, values: Mapping[str, Any]) -> None:
        """A measurement at the current step, such as the gradient norm of each term."""
        found = numbers(values, name)
        self._write(ev.Probe(t=self._now(), name=name, epoch=self.epochs + 1, step=self.steps, values=found))

    def checkpoint(
        self, name: str, path: str | Path, *, epoch: int, step: int, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """A checkpoint was published, at ``path`` (absolute, or relative to the run directory)."""
        relative = os.path.relpath(self.path / path, self.path)
        found = numbers(metrics or {}, name)
        self._write(ev.Checkpoint(t=self._now(), name=name, path=relative, epoch=epoch, step=step, metrics=found))

    def evaluation(self, name: str, metrics: Mapping[str, Any], about: str = "", *, checkpoint: str = "") -> None:
        """A measurement outside the epochs; ``checkpoint`` names the one that was loaded afresh for it."""
        found = numbers(metrics, name)
        self._write(ev.Evaluation(t=self._now(), name=name, metrics=found, about=about, checkpoint=checkpoint))

    def early(self, reason: str) -> None:
        """The run ends here by a rule of its config, ``early_stop``; without that key it counts for nothing."""
        self._finish_window()
        self._write(ev.Early(t=self._now(), epoch=self.epochs, step=self.steps, reason=reason))

    def note(self, text: str) -> None:
        """A sentence for the reader of the run."""
        self._write(ev.Note(t=self._now(), text=text))
