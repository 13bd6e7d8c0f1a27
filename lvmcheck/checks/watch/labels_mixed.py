"""labels_mixed: batches hold several classes."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class LabelsMixed(Watched):
    """In ten measured steps in a row no batch holds as little as a third of the classes seen so far, where it has
    room for more.

    Why:
    Batches of one class after another make the model forget the others: the loss jumps whenever the class changes.

    Usual causes:
    - The data are sorted by class and not shuffled.
    - A sampler yields class by class.

    Fix:
    shuffle=True, or shuffle the data once.

    Healthy runs that must pass:
    Many classes in small batches; unbalanced data; episodes of few-shot learning with several classes.
    """

    event = "labels"
    streak = 10

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        seen, rows = of.get("seen", 0.0), of.get("rows", 0.0)
        if seen < 2 or rows < 2 * seen:
            return None
        return Finding(
            code="sorted",
            measured=of.get("distinct"),
            bounds=(floor(max(1.0, seen / 3) + 0.5),),
            evidence=(Fact("classes_seen", seen), Fact("rows", rows)),
            phrase="{measured} of {classes_seen} classes in a batch of {rows}",
        )


_case = Cases(LabelsMixed())
_BATCH = {"distinct": 8.0, "rows": 32.0, "seen": 8.0, "classes": 8.0}
PASSES = (
    _case("perfect_oracle", [_BATCH] * 10),
    _case("small_batches", [{**_BATCH, "distinct": 1, "rows": 4}] * 12 + [_BATCH]),
)
FAILS = (
    _case("sorted_by_class", [{**_BATCH, "distinct": 1}] * 10, "sorted", 1, step=10),
    _case("not_a_number", [{**_BATCH, "distinct": float("nan")}] * 10),
)
