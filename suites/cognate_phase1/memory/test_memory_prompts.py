"""The seed prompts, after the run of the suite beside."""

from __future__ import annotations

from lvmcheck import Run
from suites.cognate_phase1.forms import check_forms


def test_the_seed_prompts_are_answered_in_form(run: Run) -> None:
    check_forms(run)
