"""views_differ: the two views of a batch that a loss over pairs compares are not one and the same."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class ViewsDiffer(Watched):
    """Where the logits of a cross-entropy compare a batch with a batch, the model's embeddings of both views differ,
    in one of any three measured steps in a row: those of its two calls, or of the halves of its rows.

    Why:
    Two equal views are as similar as can be whatever the model does: nothing that augmentation would teach is learned,
    and the loss falls nicely.

    Usual causes:
    - The augmentation is called once and its result is used twice.
    - The random state is set anew before each view.
    - The second view is a copy of the first.

    Fix:
    Draw the augmentation for each view by itself; print (view_1 - view_2).abs().max().

    Healthy runs that must pass:
    Views that differ by dropout alone; two towers; supervised contrastive losses.
    """

    event = "views"
    streak = 3

    def look(self, event: Watch) -> Finding | None:
        if event.values.get("pairs") == 0.0:
            return None
        return Finding(
            code="equal",
            measured=event.values.get("apart"),
            bounds=(floor(1e-6),),
            phrase="embeddings of the two views of a batch differ by {measured} of their size",
        )


_case = made.Cases(ViewsDiffer())
_SAMPLE = {"apart": 0.4, "pairs": 1.0}
PASSES = (
    _case("perfect_oracle", case_run("views", [_SAMPLE] * 4)),
    _case("now_and_then_equal", case_run("views", [{**_SAMPLE, "apart": a} for a in (0, 0, 0.1)])),
    _case("positions_as_classes", case_run("views", [_SAMPLE, *[{"apart": 0.0, "pairs": 0.0}] * 4]), measured=0.4),
)
FAILS = (
    _case("one_view_twice", case_run("views", [{**_SAMPLE, "apart": 0.0}] * 4, over=False), "equal", 0.0),
    _case("not_a_number", case_run("views", [{**_SAMPLE, "apart": float("nan")}] * 3)),
)
