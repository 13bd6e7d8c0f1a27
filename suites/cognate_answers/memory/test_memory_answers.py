"""What a person types, after the run of the suite beside."""

from __future__ import annotations

from lvmcheck import Run
from suites.cognate_answers.typed import check_typed


def test_what_a_person_types_is_answered(run: Run) -> None:
    check_typed(run)
