"""The ``training`` fixture: trains once per key, in processes of their own, whichever test or process asks first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from lvmcheck.checks.protocol import load_check
from lvmcheck.errors import InputError
from lvmcheck.pytest_plugin.session import LvmSession
from lvmcheck.pytest_plugin.training.answers import here, refuse
from lvmcheck.pytest_plugin.training.trained import Trained, entry_of
from lvmcheck.run.roles import Direction, by_name
from lvmcheck.suite import CheckEntry
from lvmcheck.suite.called import Call, Trainer, Wanted, called_suite

Bounds = Mapping[str, float]
KEYS = {"abort_below": "at_least", "abort_above": "at_most"}
"""Bounds that stop a run, and the keys of the check ``metric`` that they are."""


class Training:
    """Starts trainings, and finds those that were started before."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def __repr__(self) -> str:
        return "<fixture training>"

    def __call__(
        self,
        trainer: Trainer,
        config: Mapping[str, object] | None = None,
        *,
        seeds: Sequence[int] = (0,),
        abort_below: Bounds | None = None,
        abort_above: Bounds | None = None,
        env: Sequence[str] = (),
        inputs: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> Trained:
        """Train, or find what was trained before; the first access to the result waits for it.

        Args:
            trainer: "package.module:function" or the function, which takes (config, rec); ["train.py", "--lr", "0.1"]
                for a script, below pytest's rootdir; or a command line. Scripts and commands record into ``{out}``.
            config: what a function receives, with its ``seed``.
            seeds: one run each.
            abort_below, abort_above: metric, or "metric@epoch" -> bound beyond which a run is stopped.
            env, inputs, timeout: as in the ``[run]`` table of a suite.
        """
        __tracebackhide__ = True
        call = here(self._config)
        wanted = Wanted(trainer=trainer, config=config or {}, seeds=seeds, env=env, inputs=inputs, timeout=timeout)
        try:
            session = LvmSession.of(self._config)
            entries = [*_aborts("abort_below", abort_below, call), *_aborts("abort_above", abort_above, call)]
            suite = called_suite(wanted, call, root=self._config.rootpath, checks=entries, changes=session.changes())
        except InputError as problem:
            refuse(problem)
        known = session.launcher.jobs
        fresh = not any((suite.place, seed) in known for seed in suite.seeds)
        asked = entries if fresh else ()  # those of an equal call are asked already
        jobs = {seed: session.launcher.want(suite, seed, asked, whole=True) for seed in suite.seeds}
        session.launcher.start(next(iter(jobs.values())))
        return Trained(session, jobs, call, entries)


def _aborts(side: str, bounds: Bounds | None, call: Call) -> list[CheckEntry]:
    """Checks that stop a run: in every epoch, or at the one that stands behind an @.

    Raises:
        InputError: no number, no epoch, or the wrong side for that metric.
    """
    found = []
    for number, (name, bound) in enumerate((bounds or {}).items()):
        metric, _, epoch = name.partition("@")
        when = int(epoch) if epoch.isdigit() else epoch or "every"
        keys = {"metric": metric, KEYS[side]: bound, "epoch": when}
        try:
            found.append(entry_of(load_check("metric"), keys, call, number, abort=True))
        except InputError as problem:
            other = next(key for key in KEYS if key != side)
            lower = by_name(metric).direction is (Direction.LOWER if side == "abort_below" else Direction.HIGHER)
            fix = f"Use {other}." if lower else problem.fix
            raise call.error(problem.problem, key=f"{side}[{name!r}]", fix=fix) from None
    return found
