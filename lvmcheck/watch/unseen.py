"""What a watcher could not see, in a few words each."""

from __future__ import annotations

from typing import Any

from lvmcheck.watch.measure.modules import compiled


def unseen(watcher: Any) -> tuple[str, ...]:
    """The reasons that hold so far."""
    slots, broken = watcher.slots, ", ".join(watcher.guard.broken)
    reasons = {
        "forward passes (the model itself is not called, or only by compiled code)": not watcher.modes.seen,
        "backward passes": any(slot.steps and not slot.ever for slot in slots),
        "single modules (the model is compiled)": compiled(watcher.model),
        "gradients at the step (they are computed inside of it, by a closure)": any(slot.closure for slot in slots),
        f"what {broken} would have seen": bool(broken),
    }
    return tuple(what for what, holds in reasons.items() if holds)
