"""Training inside the pytest process (``--lvm-inprocess``), for debuggers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lvmcheck.launch.plan import Plan
from lvmcheck.launch.worker import run_trainer, window_of, write_failure
from lvmcheck.run.recorder import Recorder


def train_in_process(plan: Plan, resume: Path | None, judge: Callable[[], None]) -> BaseException | None:
    """Train the plan here and now; returns what its trainer raised, so that a debugger sees the trainer's own frames.

    Args:
        resume: checkpoint to continue from.
        judge: called after every event that can decide a check.
    """

    def judge_now(recorder: Recorder, waits: bool) -> None:
        del recorder, waits
        judge()

    try:
        recorder = Recorder(plan.folder, window=window_of(plan.config), judge=judge_now, resume=resume)
        run_trainer(plan.trainer, dict(plan.config), recorder)
    except (Exception, SystemExit) as problem:
        write_failure(plan.folder, problem)
        return problem
    return None
