"""local: processes of this machine."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.launch.device import DEVICES, cores
from lvmcheck.launch.engine import Engine
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.process import TrainerProcess, start_trainer

PACKAGE = EXTRA = None
OPTIONS: tuple[str, ...] = ()
PREFIXES: tuple[str, ...] = ()


class Local:
    """As many at a time as ``--lvm-jobs`` says, else as cores allow on a CPU and one on an accelerator."""

    def __init__(self, settings: Settings) -> None:
        self._jobs = settings.jobs

    def open(self) -> None:
        """Nothing to be made ready."""

    def places(self, plan: Plan) -> tuple[str, int]:
        kind = plan.device if plan.device in DEVICES else "other"
        return kind, self._jobs or (max(1, cores() // (plan.threads * plan.ranks)) if kind == "cpu" else 1)

    def start(self, plan: Plan, resume: Path | None) -> TrainerProcess:
        return start_trainer(plan, resume)

    def close(self) -> None:
        """Trainers are ended by their jobs."""


def make(settings: Settings) -> Engine:
    return Local(settings)
