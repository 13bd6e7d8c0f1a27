"""inputs_scaled: inputs are of ordinary size, and not constant."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import band, ceiling, floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

LOW, HIGH, FAR = 1e-4, 30.0, 30.0
ALIKE = 1e-9
"""Largest difference between rows over the largest magnitude, below which all rows of a batch are one."""

TWICE = (0.0038, 0.00393, 0.01)
"""Highest value, at least and at most, of pixels that were divided by 255 twice, and what it would have to be."""


@dataclass(frozen=True, kw_only=True)
class InputsScaled(Watched):
    """The mean of the inputs is within 30 of their standard deviations from 0, and that is between 1e-4 and 30, in
    three measured steps in a row, and the rows of a batch differ; from 0 to 1/255 they were divided twice. Inputs of
    both 0 and 1, integers, and models that begin with a norm do not count.

    Why:
    Initialisation and learning rates are made for inputs near 0 with deviation near 1. Pixels of 0 to 255 saturate or
    blow up the first layer; inputs that are all the same carry nothing.

    Usual causes:
    - Pixels are not divided by 255, features not standardised.
    - Normalised twice, or by the statistics of other data.
    - The preprocessing returns the same array for every row.

    Fix:
    Standardise with the statistics of the training data, once, or begin the model with a norm.

    Healthy runs that must pass:
    Inputs in [0, 1] with mean 0.3; sparse and one-hot inputs; unit vectors of many dimensions; token ids.
    """

    event = "inputs"
    streak = 3

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("binary") and of.get("std"):
            return None
        mean, std = of.get("mean", float("nan")), of.get("std", float("nan"))
        constant = std == 0
        if not constant and not of.get("spread", 1.0) >= ALIKE:
            return Finding(
                code="equal_rows",
                measured=of["spread"],
                bounds=(floor(ALIKE),),
                evidence=(Fact("mean", mean), Fact("standard_deviation", std)),
                phrase="all rows of a batch are the same",
            )
        top = of.get("highest", float("nan"))
        if of.get("lowest") == 0 and TWICE[0] <= top <= TWICE[1]:
            return Finding(
                code="divided_twice",
                measured=top,
                bounds=(floor(TWICE[2]),),
                evidence=(Fact("mean", mean), Fact("standard_deviation", std)),
                phrase="the highest of the inputs is {measured}, as that of pixels divided by 255 twice",
            )
        offset = abs(mean) / std if std > 0 else float("nan")
        shifted = LOW <= std <= HIGH
        return Finding(
            code="constant" if constant else "offset" if shifted else "scale",
            measured=offset if shifted else std,
            bounds=(ceiling(FAR),) if shifted else band(LOW, HIGH),
            evidence=(Fact("mean", mean), Fact("standard_deviation", std), Fact("highest", of.get("highest"))),
            phrase="mean of the inputs {mean}, standard deviation {standard_deviation}",
        )


_case = Cases(InputsScaled())
_IN = {"mean": 0.0, "std": 1.0, "lowest": -3.0, "highest": 3.0, "binary": 0.0}
PASSES = (
    _case("perfect_oracle", [_IN] * 3),
    _case("zero_to_one", [{**_IN, "mean": 0.3, "std": 0.3}] * 3),
    _case("rows_that_differ", [{**_IN, "spread": 1e-3}] * 3),
    _case("unit_vectors", [{**_IN, "std": 0.036}] * 3),
)
FAILS = (
    _case("pixels_of_255", [{**_IN, "mean": 120, "std": 70}] * 3, "scale", 70, step=3),
    _case("one_row", [{**_IN, "spread": 0.0}] * 3, "equal_rows", 0.0),
    _case(
        "pixels_divided_twice", [{**_IN, "lowest": 0.0, "highest": 1 / 255, "std": 9e-4}] * 3, "divided_twice", 1 / 255
    ),
    _case("constant", [{**_IN, "std": 0.0}] * 3, "constant", 0.0),
    _case("offset", [{**_IN, "mean": 2000, "std": 10}] * 3, "offset", 200),
    _case("not_a_number", [{**_IN, "std": float("nan")}] * 3),
)
