"""Random streams of events as a trainer could write them, and the checks that are asked of them."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from lvmcheck.checks.protocol import Check, load_check, universal_checks
from lvmcheck.run import events as ev

FACTS = ("constant_mean", "persistence", "best_linear")
METRICS = ("train_cosine", "val_cosine", "val_loss")
numbers = st.one_of(st.floats(-1, 1), st.sampled_from([0.0, 0.5, 0.6, 1.0, math.nan, math.inf]))


@st.composite
def streams(draw: st.DrawFn) -> list[ev.Event]:
    """Epochs go forward to at most the five that are planned; everything else comes anywhere, as often as it likes."""
    epochs = sorted(draw(st.sets(st.integers(1, 5), max_size=5)))
    events: list[ev.Event] = [ev.Begin(), *draw(st.lists(data(), max_size=2))]  # facts are known before the first step
    step = 0
    for epoch in [*epochs, 7]:
        events += draw(st.lists(others(epoch), max_size=3))
        for _ in range(draw(st.integers(0, 2))):
            loss = draw(numbers)
            events.append(
                ev.Window(
                    epoch=epoch, first_step=step + 1, last_step=step + 2, loss_mean=loss, loss_min=loss, loss_max=loss
                )
            )
            step += 2
        if epoch != 7:
            events.append(ev.Epoch(epoch=epoch, step=step, metrics=draw(measured())))
    return events


def measured() -> st.SearchStrategy[dict[str, float]]:
    return st.dictionaries(st.sampled_from(METRICS), numbers)


def data() -> st.SearchStrategy[ev.Event]:
    facts: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from(FACTS), st.floats(-1, 1))
    return st.builds(ev.Data, name=st.sampled_from(["a", "b"]), fingerprint=st.sampled_from(["x", "y"]), facts=facts)


def others(epoch: int) -> st.SearchStrategy[ev.Event]:
    return st.one_of(
        st.builds(ev.Declare, metrics=st.sampled_from([(), METRICS])),  # a promise that is not broken later
        st.builds(ev.Device, kind=st.sampled_from(["cpu", "cuda"])),
        st.builds(ev.Model, kind=st.just("m"), parameters=st.integers(0, 10)),
        st.builds(ev.Evaluation, name=st.sampled_from(["reload", "val"]), metrics=measured()),
        st.builds(ev.Note, text=st.text(max_size=5)),
        st.builds(ev.Log, epoch=st.just(epoch), step=st.just(0), metrics=measured()),
    )


def asked() -> list[Check]:
    """Floors at epochs, floors that come from the data, and what is judged on any run."""
    floor, final = load_check("cosine_floor"), {"metric": "val_cosine", "epoch": "final"}
    fixed = [floor(metric="val_cosine", epoch=n, floor=0.5) for n in (1, 3)]  # type: ignore[call-arg]
    relative = [floor(**key, floor="best_linear + 0.01") for key in ({"metric": "val_cosine", "epoch": 2}, final)]  # type: ignore[call-arg, arg-type]
    return [*fixed, *relative, floor(**final, floor=0.5, abort_below=0.1), load_check("finite")(), *universal_checks()]  # type: ignore[call-arg, arg-type]
