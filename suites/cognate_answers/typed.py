"""Whether the questions that a person types, and the original project's three prompts, are answered rightly."""

from __future__ import annotations

import pytest

from lvmcheck import Run
from lvmcheck.run import events as ev
from models.data.text.answers import exact
from models.data.text.records import SEED_PROMPTS, TYPED_PROMPTS


def check_typed(run: Run) -> None:
    """Asserts it of the greedy answers after the last epoch."""
    if not (run.data_name or "").startswith("generated"):
        pytest.skip(f"other questions ({run.data_name})")
    last = [event for event in run.of(ev.Sample) if event.epoch == run.last_epoch and event.name == "greedy"]
    texts = {event.prompt: event.text for event in last if event.dataset in ("seed", "typed")}
    asked = (*SEED_PROMPTS, *TYPED_PROMPTS)
    assert texts.keys() == {each.prompt for each in asked}
    assert {each.prompt: texts[each.prompt] for each in asked if not exact(each.answer, texts[each.prompt])} == {}
