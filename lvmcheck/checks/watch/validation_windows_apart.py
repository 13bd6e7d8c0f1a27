"""validation_windows_apart: no window of validation overlaps one of training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

WINDOWS, SHARE, LEAST, BACKWARD = 32, 0.05, 0.03, 0.1
"""Windows of validation, the share of them that may overlap, that of each batch, and that with time reversed."""

SHARE_OF_TEXT, LEAST_OF_TEXT, REPEATS = 0.25, 0.12, 0.15
"""The same for windows of tokens, of which texts repeat some, and the share that the first 64 windows of training share
with earlier ones where a text repeats itself."""

LONGER = 0.25
"""Share of the windows whose first half was met that has its first three quarters met where windows overlap."""
OFTEN, AS_OFTEN, MANY = 0.08, 0.6, 48
"""Share of late windows of training that were met before, times that from which validation is of the same text, and
windows of an evaluation."""


@dataclass(frozen=True, kw_only=True)
class ValidationWindowsApart(Watched):
    """The first half of at most 5 % of the windows of an evaluation is found, value by value, at any place of the
    windows that training has seen on measured steps; whole windows of training are left to validation_rows_unseen.
    Where a tenth as many are found with time reversed, the series holds so little that equal parts are chance; where a
    batch of the evaluation has none, the loop evaluates windows of training beside those of validation. Of windows of
    at least 32 tokens a quarter may be met, since texts repeat themselves, and nothing is said of a text whose first
    windows do, or where the first three quarters of a window are met a quarter as often as its half.

    Why:
    Windows that overlap hold the same values at other offsets: a model has trained on most of what it is asked.

    Usual causes:
    - Windows were cut from a series first, and split at random afterwards.
    - The series of validation begins before that of training ends.

    Fix:
    Split the series by time, leave a gap of one window, and cut windows from each part.

    Healthy runs that must pass:
    A split by time, whose windows at the border share their history; series that repeat themselves.

    Source:
    This project's list of faults in training loops: leaking rows.
    """

    event = "window_parts"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        windows, met = of.get("windows", 0.0), of.get("met", float("nan"))
        if windows < WINDOWS:
            return None
        text = bool(of.get("text"))
        phrases = text and of.get("longer", met) < LONGER * met  # a text repeats few long parts, and overlaps do
        chance = of.get("reversed", 0.0) > BACKWARD * met or phrases or (text and of.get("own", 0.0) > REPEATS)
        if text and not phrases and _alike(met / windows, of.get("late", 0.0), of.get("own", 0.0)) and windows >= MANY:
            return Finding(
                code="as_often_as_training",
                measured=met / windows / of["late"],
                bounds=(ceiling(AS_OFTEN),),
                evidence=(Fact("windows", windows), Fact("of_training", of["late"])),
                phrase="validation windows are met in training {measured} as often as windows of training themselves",
            )
        beside = of.get("least", 1.0) < (LEAST_OF_TEXT if text else LEAST)
        return Finding(
            code="overlapping",
            measured=math.nan if any(map(math.isnan, of.values())) else 0.0 if chance or beside else met / windows,
            bounds=(ceiling(SHARE_OF_TEXT if text else SHARE),),
            evidence=(Fact("windows", windows), Fact("trained_windows", of.get("trained"))),
            phrase="share of {windows} validation windows whose first half is part of a training window {measured}",
        )


def _alike(met: float, late: float, own: float) -> bool:
    """Whether windows of validation were met nearly as often as late ones of training, which first ones rarely were."""
    return late >= OFTEN and own < late / 3 and met > AS_OFTEN * late


_case = Cases(ValidationWindowsApart())
_APART = {"windows": 200.0, "met": 3.0, "reversed": 0.0, "least": 0.04, "trained": 900.0}
_TEXT = {"windows": 256.0, "met": 20.0, "reversed": 0.0, "least": 0.02, "trained": 2000.0, "text": 1.0, "own": 0.05}
PASSES = (
    _case("phrases_that_a_text_repeats", [_TEXT]),
    _case("phrases_met_more_and_more", [{**_TEXT, "met": 20.0, "own": 0.02, "late": 0.3}]),
    _case("a_small_language", [{**_TEXT, "met": 50.0, "own": 0.03, "late": 0.27, "longer": 2.0}]),
    _case("templates", [{**_TEXT, "met": 200.0, "least": 0.7, "own": 0.6}]),
    _case("perfect_oracle", [{**_APART, "met": 0.0}], measured=0.0),
    _case("split_by_time", [_APART]),
    _case("windows_of_training_beside", [{**_APART, "met": 90.0, "least": 0.0}]),
    _case("a_series_that_repeats", [{**_APART, "met": 150.0, "reversed": 140.0}]),
)
FAILS = (
    _case("split_at_random", [{**_APART, "met": 180.0}], "overlapping", 0.9, over=False),
    _case("a_file_read_twice", [{**_TEXT, "met": 40.0, "own": 0.02, "late": 0.16}], "as_often_as_training"),
    _case("text_of_training", [{**_TEXT, "met": 110.0, "least": 0.3}], "overlapping", over=False),
    _case("not_a_number", [{**_APART, "met": float("nan")}]),
)
