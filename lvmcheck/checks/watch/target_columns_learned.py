"""target_columns_learned: of a regression with several targets, none is left at its mean while others are learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

ROWS, EACH = 64, 2
"""Rows from which it is judged, and columns of each kind from which every other one is no chance."""


@dataclass(frozen=True, kw_only=True)
class TargetColumnsLearned(Watched):
    """Where one squared or absolute error takes several columns of targets, and at the end half of the variance of one
    is explained, more than 0.02 of that of every other is; it fails where it is every other column of four or more
    that is not, and warns elsewhere.

    Why:
    A column that stays at its mean beside others that are learned has targets that do not belong to the inputs. Of
    points in pictures that are flipped, and whose coordinates are not, the x stay at their mean and the y are learned.

    Usual causes:
    - A flip of the augmentation changes the image and not the coordinates.
    - One column is read from the wrong place, shuffled, or scaled to nothing.

    Fix:
    Draw five pictures with their points after augmentation; print the error of each column by itself.

    Healthy runs that must pass:
    A column that is noise, which warns; columns that are learned later than others; columns that are constant.
    """

    event = "target_columns"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        number = math.nan if any(map(math.isnan, of.values())) else of.get("unlearned", 0.0)
        if (number == number and not of.get("learned")) or of.get("rows", 0.0) < ROWS:
            return None
        alternate = bool(of.get("every_other")) and of.get("columns", 0.0) >= 2 * EACH
        return Finding(
            code="every_other" if alternate else "some",
            measured=number,
            bounds=(ceiling(0),),
            evidence=(Fact("columns", of.get("columns")), Fact("best", of.get("best")), Fact("worst", of.get("worst"))),
            phrase="{measured} of {columns} columns of the targets are predicted no better than by their mean, and"
            " {best} of the variance of the best one is explained",
        )

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        outcome = super().decide_on(run, events)
        finding = outcome.finding
        some = finding is not None and finding.code == "some" and not math.isnan(finding.number)
        return replace(outcome, status=Status.WARNING) if some and outcome.status is Status.FAILED else outcome


_case = Cases(TargetColumnsLearned())
_ALL = {"learned": 4.0, "unlearned": 0.0, "columns": 4.0, "every_other": 0.0, "best": 0.98, "worst": 0.9, "rows": 128.0}
_HALF = {**_ALL, "learned": 2.0, "unlearned": 2.0, "worst": -0.01}
PASSES = (
    _case("perfect_oracle", [_ALL], measured=0.0),
    _case("none_is_learned", [_ALL, {**_HALF, "learned": 0.0, "unlearned": 4.0}]),
)
FAILS = (
    _case("x_at_its_mean", [{**_HALF, "every_other": 1.0}], "every_other", 2.0),
    _case("one_is_noise", [{**_HALF, "learned": 3.0, "unlearned": 1.0}], "some", status=Status.WARNING),
    _case("not_a_number", [{**_HALF, "best": math.nan}]),
)
