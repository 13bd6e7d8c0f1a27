"""resume_equal: two steps, a checkpoint loaded into a fresh process and two more steps give what four steps give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed
from lvmcheck.watch.preflight.checkpoint import Checkpoint
from lvmcheck.watch.preflight.nested import rows_of, taken
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, difference, listed

FIXES = {
    "jumps": "write everything that a step changes into the checkpoint: optimizer, scheduler, generators, and tensors"
    " and counters that are plain attributes of the model (register_buffer)"
}
STEPS = 4
SAME = 1e-6


def measure(setup: Setup) -> Outcome:
    setup.needs_optimizer()
    batches = [_rolled(setup, step) for step in range(STEPS)]
    straight = _train(setup, batches)
    setup.snapshot.restore()
    again = _train(setup, batches)
    if _worst(straight, again)[1] > SAME:
        raise SkipProbe("the same four steps twice end differently: training is not deterministic")
    setup.snapshot.restore()
    _train(setup, batches[: STEPS // 2])
    checkpoint = Checkpoint(setup)
    setup.snapshot.restore()
    checkpoint.load(setup)
    resumed = _train(setup, batches[STEPS // 2 :])
    name, worst = _worst(straight, resumed)
    finding = Finding(
        code="jumps" if worst > SAME else "same",
        measured=worst,
        bounds=(ceiling(SAME),),
        evidence=(Fact("steps", STEPS, "steps"), *listed([name] if worst > SAME else [], "first tensor that differs")),
        phrase="after {steps} a resumed run differs by {measured} (relative)",
    )
    return failed(finding) if worst > SAME else passed(finding, evaluated=len(straight))


def _rolled(setup: Setup, step: int) -> Any:
    """The rows in another order at every step, where the batch has rows."""
    rows = rows_of(setup.small)
    if rows is None or rows < 4:
        return setup.small
    return taken(setup.small, torch.arange(rows).roll(step), rows)


def _train(setup: Setup, batches: Sequence[Any]) -> dict[str, Tensor]:
    """Parameters and persistent buffers after these steps."""
    setup.train()
    for batch in batches:
        setup.step(batch, setup.optimizers, setup.schedulers)
    return {name: t.detach().clone() for name, t in setup.model.state_dict().items() if isinstance(t, Tensor)}


def _worst(one: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[str, float]:
    """The tensor that differs most."""
    return max(((name, difference(t, other[name])) for name, t in one.items()), key=lambda pair: pair[1])
