"""validation_rows_unseen: no row of validation is trained on."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

ROWS, MOST, TIMES, OFTEN = 16, 0.01, 3, 0.1
PASSED, LEAST, OF_TEXT = 0.05, 0.03, 0.4
"""Share of rows that passed through the model, of those of each of its batches, and of rows of tokens."""


@dataclass(frozen=True, kw_only=True)
class ValidationRowsUnseen(Watched):
    """At most 1 % of the validation rows that were seen are rows of training, and three times the share of rows that
    occur twice within training itself: rows that train= and val= of watch hold or hand on. Of rows that pass through
    the model, of which those of measured steps are known, at most 5 % (40 % of rows of tokens), unless a batch of the
    evaluation holds none: then the loop evaluates rows of training beside those of validation. Where a module of the
    same parameters, such as an average of the model, is evaluated as well, what passes through the model itself is not
    judged.

    Why:
    Validation on rows that were trained on measures memory: the figures are better than they should be, and nothing
    in a curve shows it.

    Usual causes:
    - The split was made after rows were duplicated or augmented.
    - The same file, or index, is used for both.
    - Windows overlap across the split.

    Fix:
    Split first, by group where rows belong together; remove duplicates before.

    Healthy runs that must pass:
    Discrete data in which equal rows are natural; a few duplicates.
    """

    event = "leak"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        rows = of.get("rows", 0.0)
        if rows < ROWS or of.get("beside"):
            return None
        share = of.get("in_train", float("nan")) / rows
        if of.get("passed") and of.get("least", 0.0) < LEAST:
            share *= 0.0
        most = OF_TEXT if of.get("text") else PASSED if of.get("passed") else MOST
        repeated = of.get("repeated", 0.0)
        times = TIMES if repeated > OFTEN or of.get("text") or not of.get("passed") else 1
        return Finding(
            code="in_training",
            measured=share,
            bounds=(ceiling(most + times * repeated),),
            evidence=(Fact("validation_rows", rows), Fact("train_rows", of.get("train_rows"))),
            phrase="share of {validation_rows} validation rows that are also training rows {measured}",
        )


_case = Cases(ValidationRowsUnseen())
_SEEN = {"rows": 200.0, "in_train": 0.0, "train_rows": 800.0, "repeated": 0.0}
_PASSED = {**_SEEN, "in_train": 130.0, "least": 0.5, "passed": 1.0}
PASSES = (
    _case("perfect_oracle", [_SEEN] * 2),
    _case("discrete_rows", [{**_SEEN, "in_train": 60, "repeated": 0.3}]),
    _case("training_rows_evaluated_beside", [{**_PASSED, "least": 0.0}], measured=0.0),
    _case("an_average_evaluated_beside", [{**_PASSED, "beside": 1.0}, _SEEN], measured=0.0),
    _case("users_that_come_again", [{**_PASSED, "repeated": 0.4}]),
)
FAILS = (
    _case("passed_through_the_model", [_PASSED], "in_training", 0.65),
    _case("validated_on_training_data", [{**_SEEN, "in_train": 200}], "in_training", 1.0),
    _case("a_tenth", [_SEEN, {**_SEEN, "in_train": 20}], "in_training", 0.1, step=2),
    _case("not_a_number", [{**_SEEN, "in_train": float("nan")}]),
)
