"""inputs_without_sentinels: no number that stands for a missing value is among the inputs."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Status
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

FAR = 8.0


@dataclass(frozen=True, kw_only=True)
class InputsWithoutSentinels(Watched):
    """In no column of a table of inputs is the lowest or highest number one that three rows or more of about 500 have,
    more than 8 standard deviations of the others away from the next one.

    Why:
    A missing value that is written as -999 or 99999 is an ordinary number to a model. It stretches the scale, so that
    all true values are nearly equal, and large activations decide the gradient.

    Usual causes:
    - Missing values are filled with a sentinel that a tree would split off.
    - The scaling was fitted with the sentinels in the data.

    Fix:
    Fill missing values with the median after scaling, and add a column that says which were missing.

    Healthy runs that must pass:
    One-hot and sparse columns; columns with long tails; values that are clipped at a limit near the others.

    Source:
    Definition of a standard deviation. Severity: warns, since a column may really have a value apart.
    """

    event = "far_value"
    mild = True

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        return Finding(
            code="sentinel",
            measured=of.get("deviations"),
            bounds=(ceiling(FAR),),
            evidence=(Fact("column", of.get("column")), Fact("value", of.get("value")), Fact("share", of.get("share"))),
            phrase="a share of {share} of the rows has {value} in column {column} of the inputs, {measured} standard"
            " deviations of the others away from the next one",
        )


_case = Cases(InputsWithoutSentinels())
_TABLE = {"deviations": 0.4, "share": 0.01, "column": 2.0, "value": -2.1, "rows": 512.0}
PASSES = (
    _case("perfect_oracle", [_TABLE], measured=0.4),
    _case("long_tail", [{**_TABLE, "deviations": 5.0}]),
)
FAILS = (
    _case("minus_999", [{**_TABLE, "deviations": 60.0, "share": 0.04}], "sentinel", 60.0, status=Status.WARNING),
    _case("not_a_number", [{**_TABLE, "deviations": float("nan")}], status=Status.WARNING),
)
