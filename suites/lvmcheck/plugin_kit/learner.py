"""A trainer without torch for tests of the ``training`` fixture: its curves follow from its config alone."""

from __future__ import annotations

from typing import Any

from lvmcheck.run.recorder import Recorder

STEPS = 4


def main(config: dict[str, Any], rec: Recorder) -> None:
    """The loss falls by ``lr`` a step from 2; ``odd`` is NaN from the second epoch on in seeds above 0."""
    loss = 2.0 + config["seed"] / 100
    for epoch in range(1, config["epochs"] + 1):
        for _ in range(STEPS):
            loss *= 1 - config["lr"]
            rec.step(loss=loss)
        if config.get("die") == epoch:
            raise ValueError("the loss has no gradient")
        if rec.stop:
            return
        odd = float("nan") if epoch > 1 and config["seed"] else 1.0
        rec.epoch(epoch, val_loss=loss, val_accuracy=1 - loss / 3, rising=float(epoch), odd=odd)
        if config.get("ends") == epoch:
            return


def here(config: dict[str, Any], rec: Recorder) -> None:
    """Passed as a function."""
    main(config, rec)


def deaf(config: dict[str, Any], rec: Recorder) -> None:
    """Does not use its seed."""
    main({**config, "seed": 0}, rec)
