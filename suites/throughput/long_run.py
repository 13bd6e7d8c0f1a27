"""A run of as many windows as one likes, and the checks that can judge it."""

from __future__ import annotations

from collections.abc import Iterator

from lvmcheck.checks.protocol import Check, check_names, load_check
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

EPOCHS = 10


def a_run(windows: int) -> Run:
    """A healthy run of that many windows of 50 steps, new every time: views of a run are computed once."""
    return Run(
        events=tuple(_events(windows)),
        info={"config": {"loss": {"mse": 1.0}, "epochs": EPOCHS}},
        done={"status": "finished"},
    )


def _events(windows: int) -> Iterator[ev.Event]:
    each = windows // EPOCHS
    for epoch in range(1, EPOCHS + 1):
        for i in range((epoch - 1) * each, epoch * each):
            loss = 1 / (100 + i)
            yield ev.Window(
                epoch=epoch,
                first_step=50 * i + 1,
                last_step=50 * (i + 1),
                samples=1600,
                seconds=0.5,
                loss_mean=loss,
                loss_min=0.9 * loss,
                loss_max=1.1 * loss,
                terms={"mse": ev.Term(weight=1.0, mean=loss)},
                ledger_error=0.0,
                grad_norm_mean=1.0,
                grad_norm_max=2.0,
                lr=5e-4,
            )
        cosine = 0.5 + epoch / 100
        metrics = {"train_loss": 1 / epoch, "train_loss_mse": 1 / epoch, "val_cosine": cosine, "train_cosine": cosine}
        yield ev.Epoch(epoch=epoch, step=50 * epoch * each, metrics={**metrics, "val_loss": 2 * (1 - cosine) / 768})


def every_check() -> list[Check]:
    """All checks that need no key, with their defaults."""
    found: list[Check] = []
    for name in check_names():
        try:
            found.append(load_check(name)())
        except (TypeError, ValueError):
            continue  # it must be told what to compare with
    return found
