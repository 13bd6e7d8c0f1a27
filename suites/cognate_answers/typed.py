"""Whether the questions that a person types are answered rightly."""

from __future__ import annotations

import pytest

from lvmcheck import Run
from lvmcheck.run import events as ev
from models.data.text.answers import exact
from models.data.text.records import TYPED_PROMPTS


def check_typed(run: Run) -> None:
    """Asserts it of the greedy answers after the last epoch of the full profile."""
    if not (run.data_name or "").startswith("generated"):
        pytest.skip(f"other questions ({run.data_name})")
    last = [event for event in run.of(ev.Sample) if event.epoch == run.last_epoch and event.name == "greedy"]
    texts = {event.prompt: event.text for event in last if event.dataset == "typed"}
    assert texts.keys() >= {each.prompt for each in TYPED_PROMPTS}
    assert {
        each.prompt: texts[each.prompt] for each in TYPED_PROMPTS if not exact(each.answer, texts[each.prompt])
    } == {}
