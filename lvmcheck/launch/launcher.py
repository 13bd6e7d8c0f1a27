"""All trials of a session: one thread starts, follows and judges them, so that an abort never waits for pytest."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from lvmcheck.errors import InputError
from lvmcheck.launch.device import DEVICES, cores
from lvmcheck.launch.locks import try_lock
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.trial import State, Trial
from lvmcheck.suite import CheckEntry, Suite

POLL = 0.02
"""Seconds between two looks at the running trials."""
TELL = 1.0
"""Seconds between two redrawings of the live line; drawing it is what costs most while others train."""


class Launcher:
    """Owns the trials of a session. Use from one thread; judging happens on another."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.trials: dict[tuple[str, int], Trial] = {}
        self._active: list[Trial] = []
        self._guard = threading.RLock()
        self._changed = threading.Condition(self._guard)
        self._thread: threading.Thread | None = None
        self._closing = False
        self._crash: BaseException | None = None

    # -- what is wanted ----------------------------------------------------------------------------------------------
    def want(self, suite: Suite, seed: int, entries: Iterable[CheckEntry] = (), *, whole: bool = False) -> Trial:
        """Register checks (or with ``whole`` the run to its end) of one suite and seed, before anything starts."""
        key = (str(suite.path), seed)
        trial = self.trials.get(key)
        if trial is None:
            trial = self.trials[key] = Trial(Plan(suite, seed, self.settings), ())
        trial.entries = (*trial.entries, *(entry for entry in entries if entry not in trial.entries))
        trial.whole = trial.whole or whole
        return trial

    def siblings(self, trial: Trial) -> list[Trial]:
        """The trials of the same suite, in the order of their seeds."""
        return [other for other in self.trials.values() if other.plan.suite.path == trial.plan.suite.path]

    def held_up(self, trial: Trial) -> Path | None:
        """The folder of places to train, when the trial waits for one and other sessions hold them all."""
        own = any(other.state is State.TRAINING for other in self._active)
        return self._slots if trial.state is State.WAITING and not own else None

    @property
    def _slots(self) -> Path:
        return self.settings.home / "slots"

    # -- waiting -----------------------------------------------------------------------------------------------------
    def wait(self, trial: Trial, node: str | None, tell: Callable[[], None]) -> None:
        """Return when the check ``node`` of the trial is decided, or with None when the trial is over.

        Args:
            tell: called about once a second in the caller's thread, for the live line.
        """
        self._activate(trial)
        if self.settings.inprocess:
            self._run_here(trial)
            tell()
            return
        told = 0.0
        with self._changed:
            while not self._decided(trial, node):
                self._changed.wait(0.25)
                if time.monotonic() - told >= TELL:
                    tell()
                    told = time.monotonic()
                if self._crash is not None:
                    raise self._crash
        tell()

    def _decided(self, trial: Trial, node: str | None) -> bool:
        if trial.over:
            return True
        outcome = trial.outcomes.get(node) if node is not None else None
        # An abort is reported once the trainer has stopped, so that the message can say what was saved.
        return outcome is not None and outcome.decided and not outcome.abort

    def _activate(self, trial: Trial) -> None:
        """Start the trial and, as slots allow, the other seeds of its suite."""
        with self._guard:
            alone = self.settings.inprocess or trial.plan.suite.sequential
            for sibling in [trial] if alone else self.siblings(trial):
                if sibling not in self._active:
                    # Schemas are the user's code and may not be safe in threads: ask them here. What is wrong with
                    # the input is found again, and kept, when the trial is looked at.
                    with contextlib.suppress(InputError):
                        _ = sibling.plan.key
                    self._active.append(sibling)
            if self._thread is None and not self.settings.inprocess:
                self._thread = threading.Thread(target=self._loop, name="lvmcheck-launcher", daemon=True)
                self._thread.start()

    def activate_all(self) -> None:
        """Start every trial that was asked for, in order, as slots allow."""
        for trial in self.trials.values():
            if not trial.plan.suite.sequential or trial is self.siblings(trial)[0]:
                self._activate(trial)

    def _loop(self) -> None:
        try:
            while not self._closing:
                with self._changed:
                    if self._poll_all():
                        self._changed.notify_all()
                time.sleep(POLL)
        except BaseException as problem:
            self._crash = problem

    def _poll_all(self) -> bool:
        """Whether any trial was looked at in full."""
        looked = False
        for trial in self._active:
            if trial.over or not trial.due():
                continue
            looked = True
            trial.poll(self._take_slot)
            if trial.state is State.WAITING and (reason := self._pointless(trial)):
                trial.cancel(reason)
        return looked

    def _pointless_now(self, plan: Plan) -> bool:
        """Whether a seed that another process trains was doomed since it was last looked at."""
        trial = self.trials[str(plan.suite.path), plan.seed]
        for sibling in self.siblings(trial):
            if sibling.state is State.FOLLOWING:
                sibling.poll(self._take_slot)
        return self._pointless(trial) is not None

    def _pointless(self, trial: Trial) -> str | None:
        """Why another seed need not start: one is doomed already and every seed must pass."""
        for other in self.siblings(trial):
            if other.doomed_by is None:
                continue
            entry = next(entry for entry in other.entries if entry.node == other.doomed_by)
            if entry.expect is None:
                return f"seed{other.plan.seed} was stopped by {other.doomed_by}, and every seed must pass"
        return None

    def _take_slot(self, plan: Plan) -> FileLock | None:
        """A place to train, over all processes of this home: as many as --lvm-jobs says, else as cores allow on a CPU
        and one on an accelerator.
        """
        kind = plan.device if plan.device in DEVICES else "other"
        places = self.settings.jobs or (max(1, cores() // plan.threads) if kind == "cpu" else 1)
        self._slots.mkdir(parents=True, exist_ok=True)
        for number in range(places):
            lock = try_lock(self._slots / f"{kind}-{number}.lock")
            if lock is None:
                continue
            if self._pointless_now(plan):
                lock.release()
                return None
            return lock
        return None

    def _run_here(self, trial: Trial) -> None:
        while not trial.over:
            trial.poll(self._take_slot)
            if trial.state is State.TRAINING:
                trial.train_here()
            elif not trial.over:
                time.sleep(POLL)

    def finish_own(self) -> None:
        """Wait for the trials that train here, which others may follow."""
        with self._changed:
            while any(trial.state is State.TRAINING for trial in self._active) and self._crash is None:
                self._changed.wait(0.1)

    # -- the end -----------------------------------------------------------------------------------------------------
    def close(self, reason: str) -> None:
        """Stop whatever still trains; its run directory stays readable and can be continued."""
        self._closing = True
        if self._thread is not None:
            self._thread.join(timeout=30.0)
        for trial in self._active:
            if not trial.over:
                trial.cancel(reason)
