"""One schedule for several parameter groups: each keeps its own base rate."""

from __future__ import annotations

from torch.optim import Optimizer

from lvmcheck.errors import InputError, nearest
from models.optim.schedule import constant_lr, cosine_lr

SCHEDULES = ("constant", "cosine")


class GroupLRScheduler:
    """Sets every group's rate before each step: linear warm-up, then constant or half a cosine.

    A function of the step alone, so there is nothing to save. The base rates are those of the groups when it is made;
    make it before the optimizer's state is restored, or from groups that hold ``initial_lr``.

    Args:
        kind: one of :data:`SCHEDULES`.
        total: optimizer steps of the whole run.
        floor: share of its base rate that a group ends at, for the cosine.

    Raises:
        InputError: unknown kind, or a number out of range.
    """

    def __init__(self, optimizer: Optimizer, kind: str, *, total: int, warmup: int = 0, floor: float = 0.0) -> None:
        if kind not in SCHEDULES:
            raise InputError(
                "optimizer", f"no such schedule {kind!r}", key="run.schedule", fix=nearest(kind, SCHEDULES)
            )
        if not 0 <= warmup <= total:
            problem = f"expected 0 to {total}, the steps of the run, got {warmup}"
            raise InputError("optimizer", problem, key="run.warmup_steps")
        if not 0 <= floor <= 1:
            raise InputError("optimizer", f"expected a share from 0 to 1, got {floor:g}", key="run.lr_floor")
        self.optimizer, self.kind, self.total, self.warmup, self.floor = optimizer, kind, total, warmup, floor
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))
        self.base = {_name(group, i): float(group["initial_lr"]) for i, group in enumerate(optimizer.param_groups)}

    def planned(self, step: int) -> dict[str, float]:
        """What 0-based ``step`` is to use, by group."""
        if self.kind == "constant":
            return {name: constant_lr(step, base, self.warmup) for name, base in self.base.items()}
        return {
            name: cosine_lr(step, self.total, base, base * self.floor, self.warmup) for name, base in self.base.items()
        }

    def before_step(self, step: int) -> dict[str, float]:
        """Sets and returns the rates that 0-based ``step`` uses."""
        rates = self.planned(step)
        for group, rate in zip(self.optimizer.param_groups, rates.values(), strict=True):
            group["lr"] = rate
        return rates

    def probe(self, step: int) -> dict[str, float]:
        """:meth:`planned` under the names of the probe "learning_rates": ``<group>/planned_lr``."""
        return {f"{name}/planned_lr": rate for name, rate in self.planned(step).items()}


def _name(group: dict[str, object], index: int) -> str:
    return str(group.get("name", f"group{index}"))
