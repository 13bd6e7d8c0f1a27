"""arguments_vary: what the model is told of each row beside the batch is not 0 throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, warning
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

LEAST = 20
"""Measured forward passes."""


@dataclass(frozen=True, kw_only=True)
class ArgumentsVary(Watched):
    """No further input of the model with one number for each row is 0 in each of twenty measured forward passes; whole
    numbers warn, since one label, task or flag may be all there is.

    Why:
    A time step that is divided as an integer, or a label that is lost on the way, is 0 for every row. The model trains
    as if it were not there.

    Usual causes:
    - t // T in place of t / T.
    - The argument is filled with its default, or is cleared in the data pipeline.

    Fix:
    Print the input of a few rows before the model is called.

    Healthy runs that must pass:
    Lengths that are all equal; masks and positions, which have more than one number a row.

    Source:
    This project's list of faults in training loops.
    """

    event = "arguments"

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        """Whole numbers may be the one label, task or flag that there is: they warn."""
        outcome = super().decide_on(run, events)
        finding = outcome.finding
        if outcome.status is Status.FAILED and finding is not None and finding.code == "zero_whole":
            return warning(finding, evaluated=outcome.evaluated)
        return outcome

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("samples", 0.0) < LEAST:
            return None
        return Finding(
            code="zero_whole" if of.get("zero", 0.0) > 0 and of.get("floats") == 0.0 else "zero",
            measured=of.get("zero"),
            bounds=(equal(0),),
            evidence=(*names(event, "inputs"), Fact("samples", of.get("samples"))),
            phrase="{inputs} of the model is 0 for every row in {samples} measured forward passes"
            if event.subjects
            else "{measured} inputs with one number a row are 0 in {samples} measured forward passes",
        )


_case = Cases(ArgumentsVary())
_TOLD = {"inputs": 1.0, "zero": 0.0, "floats": 0.0, "samples": 40.0}
PASSES = (
    _case("perfect_oracle", [_TOLD]),
    _case("few_passes", [{**_TOLD, "zero": 1.0, "samples": 9.0}, _TOLD]),
)
FAILS = (
    _case("one_task", [{**_TOLD, "zero": 1.0}], "zero_whole", 1, status=Status.WARNING),
    _case(
        "integer_division", [{**_TOLD, "zero": 1.0, "floats": 1.0}], "zero", 1, subjects=["input 2"], inputs="input 2"
    ),
    _case("not_a_number", [{**_TOLD, "zero": float("nan")}]),
)
