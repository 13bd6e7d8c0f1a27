"""A training that a Python test has called for: its runs, metrics and checks, over all seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import pytest

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import Check, load_check
from lvmcheck.errors import BadValueError, InputError, nearest
from lvmcheck.launch.run_job import RunJob
from lvmcheck.pytest_plugin.session import LvmSession
from lvmcheck.pytest_plugin.training.answers import Answer, here, keep, refuse, verdict_at
from lvmcheck.pytest_plugin.training.probes import FIXTURES, PROBES, probed
from lvmcheck.pytest_plugin.training.values import Value
from lvmcheck.report.failure import ended_lines
from lvmcheck.report.verdicts import seed_text
from lvmcheck.run.roles import Direction
from lvmcheck.run.view import Run, Series
from lvmcheck.suite import CheckEntry
from lvmcheck.suite.called import Call
from lvmcheck.suite.judging import judge_entry
from lvmcheck.validation import validated


class Trained:
    """The runs of a training, one a seed. The first access waits for them; a run without its end fails the test."""

    def __init__(
        self, session: LvmSession, jobs: Mapping[int, RunJob], call: Call, aborts: Sequence[CheckEntry] = ()
    ) -> None:
        self._session, self._config, self._jobs, self._call = session, session.config, jobs, call
        self._aborts = aborts
        self._ended = False
        session.unasked.append(self)

    def __repr__(self) -> str:
        return f"<training {next(iter(self._jobs.values())).plan.suite.name}, seeds {list(self._jobs)}>"

    @property
    def runs(self) -> Mapping[int, Run]:
        """Seed -> its finished run (:class:`lvmcheck.Run`)."""
        __tracebackhide__ = True
        return self._runs(here(self._config))

    def end(self) -> None:
        """Hold a training of which its test asked nothing to its end, too."""
        if not self._ended:
            self._runs(self._call)

    def _runs(self, call: Call) -> Mapping[int, Run]:
        __tracebackhide__ = True
        if not self._ended:
            with _uncaptured(self._config):
                for job in self._jobs.values():
                    self._session.wait_for_end(job)
            self._ended = True
            (completed,) = _entries(("run_completed",), {}, call)
            _judged(self._config, self._jobs, completed, call)
        for job in self._jobs.values():
            if (problem := _unfinished(job) or self._would_stop(job)) is not None:
                refuse(problem)
        return {seed: job.run for seed, job in self._jobs.items()}

    def _would_stop(self, job: RunJob) -> str | None:
        """Why a run that was trained for another test, without these bounds, would have been stopped."""
        for entry in self._aborts:
            outcome = judge_entry(entry, job.run, limit=self._session.options.check_timeout)
            if outcome.status is Status.FAILED:
                seed, metric = job.plan.seed, str(getattr(entry.check, "metric", ""))
                verdict = verdict_at(self._call, entry.node, entry.check.name(), outcome, seed)
                told = Answer(verdict, {seed: job}, seed, metric).told(where=True).whole
                return "\n".join([f"{job.plan.title}: {entry.node} would have stopped it", *told])
        return None

    def metric(self, name: str) -> MetricOfSeeds:
        """A metric that every epoch (or evaluation) records."""
        __tracebackhide__ = True
        runs, call = self.runs, here(self._config)
        for seed, run in runs.items():
            if name not in run.metric_names:
                others = sorted(other for other, its in runs.items() if name in its.metric_names)
                fix = nearest(name, run.metric_names)
                if others:
                    fix = f"{', '.join(map(seed_text, others))} has it."
                refuse(call.error(f"not recorded in {seed_text(seed)}", key=f"metric {name!r}", fix=fix))
        return MetricOfSeeds(self._config, self._jobs, name)

    def seed(self, seed: int) -> Run:
        """The run of one seed."""
        __tracebackhide__ = True
        runs = self.runs
        if seed not in runs:
            fix = f"Trained: {', '.join(map(str, runs))}."
            refuse(here(self._config).error("no such seed", key=f"seed {seed!r}", fix=fix))
        return runs[seed]

    def check(self, *names: str, **options: Any) -> list[Answer]:
        """Judge every seed by checks (``lvmcheck list``); fails the test with what a suite would say.

        Args:
            names: names of checks, or ``package.module:Class``; ``overfit_batch`` and ``resume_equal`` where the
                trainer's module has ``model_and_batch(config)``.
            options: their keys; each check takes those that it has.
        """
        __tracebackhide__ = True
        _, call = self.runs, here(self._config)
        asked = tuple(name for name in names if name not in PROBES)
        try:
            entries = _entries(asked, options, call) if asked or options or not names else []
            answers = [probed(self._config, self._jobs, name, call) for name in names if name in PROBES]
        except InputError as problem:
            refuse(problem)
        answers += [answer for entry in entries for answer in _judged(self._config, self._jobs, entry, call)]
        bad = [answer for answer in answers if not answer.passed]
        if bad:
            _fail(bad)
        return answers


class MetricOfSeeds:
    """A metric over the seeds of a training."""

    def __init__(self, config: pytest.Config, jobs: Mapping[int, RunJob], name: str) -> None:
        self._config, self._jobs, self._name = config, jobs, name
        self._series = {seed: job.run.series(name) for seed, job in jobs.items()}

    def __repr__(self) -> str:
        return f"<metric {self._name} of seeds {list(self._jobs)}>"

    @property
    def final(self) -> Value:
        """At the last epoch of each run."""
        __tracebackhide__ = True
        return self._at("final", {seed: job.run.last_epoch for seed, job in self._jobs.items()})

    @property
    def first(self) -> Value:
        """Where it was recorded first."""
        return self._value("first", lambda _series: 0)

    @property
    def best(self) -> Value:
        """At its best, by the direction that its name or ``rec.declare(roles=...)`` states; NaN anywhere is NaN."""
        __tracebackhide__ = True
        roles = [job.run.curves.roles.get(self._name) for job in self._jobs.values()]
        direction = next((role.direction for role in roles if role is not None), Direction.UNKNOWN)
        if direction not in (Direction.HIGHER, Direction.LOWER):
            fix = f'Say it where it is recorded: rec.declare(roles={{"{self._name}": {{"direction": "higher"}}}}).'
            refuse(here(self._config).error("nothing says which way is better", key=f"{self._name}.best", fix=fix))

        def place(series: Series) -> int:
            values = series.values
            return int(values.argmax() if direction is Direction.HIGHER else values.argmin())  # of NaN, if there is one

        return self._value("best", place)

    def at(self, epoch: int) -> Value:
        """At an epoch, counted from 1."""
        __tracebackhide__ = True
        return self._at(f"at({epoch})", dict.fromkeys(self._jobs, epoch))

    def descends(self, *, tolerance: float = 0.001, give_back: float = 0.5) -> Answer:
        """Whether it falls and keeps what it won in every seed, as the check ``val_loss_descends`` asks."""
        __tracebackhide__ = True
        call = here(self._config)
        options = {"metric": self._name, "tolerance": tolerance, "give_back": give_back}
        try:
            (entry,) = _entries(("val_loss_descends",), options, call)
        except InputError as problem:
            refuse(problem)
        answers = _judged(self._config, self._jobs, entry, call)
        undecided = [one for one in answers if not one.passed and one.verdict.status is not Status.FAILED]
        if undecided:
            _fail(undecided)
        return next((one for one in answers if not one.passed), answers[0])

    def _at(self, place: str, epochs: Mapping[int, int]) -> Value:
        __tracebackhide__ = True
        points = {}
        for seed, series in self._series.items():
            value = series.at(epochs[seed])
            if value is None:
                known = series.epochs.tolist()
                fix = f"It is recorded at epochs {known[0]} to {known[-1]}: .at({known[-1]}) is the last."
                text = f"not recorded at epoch {epochs[seed]} of {seed_text(seed)}"
                refuse(here(self._config).error(text, key=f"{self._name}.{place}", fix=fix))
            points[seed] = (epochs[seed], value)
        return Value(self._config, self._jobs, self._name, place, points)

    def _value(self, place: str, index: Callable[[Series], int]) -> Value:
        points = {}
        for seed, series in self._series.items():
            at = index(series)
            points[seed] = (int(series.epochs[at]), float(series.values[at]))
        return Value(self._config, self._jobs, self._name, place, points)


def _judged(config: pytest.Config, jobs: Mapping[int, RunJob], entry: CheckEntry, call: Call) -> list[Answer]:
    """What a check answers of every seed."""
    limit, answers = LvmSession.of(config).options.check_timeout, []
    metric = getattr(entry.check, "metric", None)
    for seed, job in jobs.items():
        outcome = judge_entry(entry, job.run, limit=limit)
        verdict = verdict_at(call, entry.node, entry.check.name(), outcome, seed)
        shown = metric if isinstance(metric, str) and metric in job.run.metric_names else None
        answers.append(keep(config, Answer(verdict, jobs, seed, shown)))
    return answers


# -- checks ------------------------------------------------------------------------------------------------------------
def _entries(names: tuple[str, ...], options: Mapping[str, Any], call: Call) -> list[CheckEntry]:
    """Checks with those of the options that each has.

    Raises:
        InputError: no such check or option, or a value that makes no sense, at the line of the call.
    """
    if not names:
        raise call.error("expected names of checks, got none", key="check")
    found: list[tuple[type[Check], dict[str, Any]]] = []
    taken: set[str] = set()
    known: set[str] = set()
    for name in names:
        try:
            kind = load_check(name)
        except InputError as problem:
            probe = f"It asks the model itself: use the fixture {name}." if name in FIXTURES else problem.fix
            raise call.error(problem.problem, key=problem.where, fix=probe) from None
        fields = {field.name for field in dataclasses.fields(kind) if field.init}
        own = {key: value for key, value in options.items() if key in fields}
        taken |= own.keys()
        known |= fields
        found.append((kind, own))
    for key in options:
        if key not in taken:
            raise call.error("no such key", key=f"{', '.join(names)}.{key}", fix=nearest(key, known))
    return [entry_of(kind, own, call, number) for number, (kind, own) in enumerate(found)]


def entry_of(kind: type[Check], keys: Mapping[str, Any], call: Call, index: int, *, abort: bool = False) -> CheckEntry:
    """A check with its keys, asked for by a call.

    Raises:
        InputError: a value that makes no sense.
    """
    try:
        check = validated(kind, dict(keys))
    except BadValueError as problem:
        raise call.error(problem.problem, key=f"{kind.name()}.{problem.key}", fix=problem.fix) from None
    return CheckEntry(index=index, params=dict(keys), check=check, line=call.line, lines={}, abort=abort)


def _fail(answers: list[Answer]) -> NoReturn:
    """Fail the test with the text of every answer that is no pass, the cause of a seed once."""
    __tracebackhide__ = True
    lines: list[str] = []
    for answer in answers:
        told = answer.told(where=True)
        lines += [f"{seed_text(answer.verdict.seed)} {answer.verdict.name}: {told.headline}"]
        lines += [text for line in (*told.lines, *told.evidence) if (text := f"  {line}") not in lines]
    refuse("\n".join(lines))


# -- ends --------------------------------------------------------------------------------------------------------------
def _unfinished(job: RunJob) -> str | None:
    """Why a run cannot be asked: what is wrong with its input, how it died, or where it was stopped."""
    run, planned = job.run, job.run.planned_epochs
    if job.problem is not None:
        return "\n".join([str(job.problem), *ended_lines(job)])
    if job.not_started is not None:
        return f"{job.plan.title}: not started: {job.not_started}"
    if not run.finished:
        aborted = next((entry for entry in job.entries if entry.node == job.aborted_by), None)
        lines = [f"{job.plan.title}: {run.stopped_where()}"]
        if aborted is not None:
            metric = str(getattr(aborted.check, "metric", ""))
            lines += Answer(job.verdict(aborted), {job.plan.seed: job}, job.plan.seed, metric).told(where=True).whole
            return "\n".join(lines)
        return "\n".join([*lines, *ended_lines(job)])
    if planned is not None and run.last_epoch < planned:
        early = 'A trainer that ends early says so: "early_stop" in its config, and rec.early(reason).'
        return f"{job.plan.title}: ended after epoch {run.last_epoch} of {planned}. {early}"
    return None


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Progress is shown while a test waits, although pytest captures what the test prints."""
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    found: AbstractContextManager[None] = nullcontext() if manager is None else manager.global_and_fixture_disabled()
    return found
