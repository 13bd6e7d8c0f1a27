"""eval_deterministic: in eval mode the same input gives the same output, and no buffer changes."""

from __future__ import annotations

import torch

from lvmcheck.checks.bounds import ceiling, equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed, warning
from lvmcheck.watch.preflight.nested import leaves
from lvmcheck.watch.preflight.setup import Setup, differs, listed
from lvmcheck.watch.preflight.trace import ATTENTION, DROPOUTS, Operation

FIXES = {
    "functional_dropout": "use nn.Dropout, or pass training=self.training to the functional form",
    "state_carried": "start every sequence from a fresh state; keep nothing of a former call in attributes",
    "random": "draw no random numbers in eval mode, such as noise or samples, unless it is meant",
    "buffers_change": "update buffers only if self.training",
}


def measure(setup: Setup) -> Outcome:
    setup.model.eval()
    before = {name: buffer.clone() for name, buffer in setup.model.named_buffers()}
    with torch.no_grad():
        first = setup.outputs()
        setup.snapshot.generators.restore()
        torch.rand(1)  # other numbers than before
        again = setup.call.run()
    dropped = any(map(drops, setup.evaluation.of(*DROPOUTS, ATTENTION)))
    changed = [name for name, buffer in setup.model.named_buffers() if not same(before.get(name), buffer)]
    if changed:
        finding = Finding(
            code="buffers_change",
            measured=len(changed),
            bounds=(equal(0),),
            evidence=listed(changed, "buffers"),
            phrase="{measured} buffers change in eval mode",
        )
        return failed(finding)
    change = differs(first, leaves(again))
    finding = Finding(
        code=_code(dropped, random_in(setup), change > setup.tolerance),
        measured=change,
        bounds=(ceiling(setup.tolerance),),
        evidence=(Fact("calls", 2),),
        phrase="outputs of {calls} equal calls in eval mode differ by {measured} (relative)",
    )
    if change <= setup.tolerance:
        return passed(finding)
    return warning(finding) if finding.code == "random" else failed(finding)


def _code(dropout: bool, random: bool, differ: bool) -> str:
    if not differ:
        return "repeats"
    return "functional_dropout" if dropout else "random" if random else "state_carried"


def drops(operation: Operation) -> bool:
    """Whether a call of a functional dropout, or of attention with one, drops anything."""
    if operation.name == ATTENTION:
        return float(operation.argument(4, "dropout_p", 0.0)) > 0
    return bool(operation.argument(2, "training", True)) and float(operation.argument(1, "p", 0.5)) > 0


def random_in(setup: Setup) -> bool:
    """Whether a call draws random numbers."""
    setup.snapshot.generators.restore()
    with torch.no_grad():
        setup.call.run()
    return setup.snapshot.generators.drawn_from()


def same(one: torch.Tensor | None, other: torch.Tensor) -> bool:
    return one is not None and one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
