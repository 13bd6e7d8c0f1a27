"""Whether the original project's three test prompts are answered in form: a number where one is asked for, a word
elsewhere."""

from __future__ import annotations

import re

import pytest

from lvmcheck import Run
from lvmcheck.run import events as ev

FORMS = {"8": r"-?\d+", "42": r"-?\d+", "Paris": r"[A-Z][a-z]+"}
"""By right answer, the whole continuation."""


def check_forms(run: Run) -> None:
    """Asserts it of the greedy answers after the last epoch; recall from context must be right as well."""
    if not (run.data_name or "").startswith("generated"):
        pytest.skip(f"real questions ({run.data_name}) are not answered in one word")
    last = [event for event in run.of(ev.Sample) if event.epoch == run.last_epoch and event.name == "greedy"]
    texts = {event.answer or "": event.text.strip() for event in last if event.dataset == "seed"}
    assert texts.keys() == FORMS.keys()
    assert {answer: text for answer, text in texts.items() if not re.fullmatch(FORMS[answer], text)} == {}
    assert texts["Paris"] == "Paris"
