"""validation_scaled_alike: validation rows have the scale of training rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

ROWS, RATIO, SHIFT, EVEN = 32, 0.3, 0.5, 0.35
TWICE = 3.3
"""Times what is allowed of rows that pass through the model: those of training may be augmented."""
STANDARD, RAW, FAR = 0.9, 0.5, 1.0
"""Share of features with mean 0 and deviation 1 in a set that was standardised, and in one that was not; and how far
that is from the other then, in deviations or as the logarithm of their ratio."""


@dataclass(frozen=True, kw_only=True)
class ValidationScaledAlike(Watched):
    """The features of validation are not those of training times a constant or plus a constant: their deviations
    differ by less than a third in the median, or not by one factor, and their means by less than half a deviation, or
    not by one amount. Nor is one set standardised, feature by feature, and the other far from it. Needs train= and
    val= of watch that hold tensors or stored rows, or an evaluation whose rows pass through the model, of which three
    times as much is allowed, as those of training may be augmented.

    Why:
    A model sees other numbers in validation than in training: its score says nothing, and a curve cannot tell why.

    Usual causes:
    - Normalisation is applied to one set only, or with other statistics.
    - Pixels of 0 to 255 in one set and of 0 to 1 in the other.

    Fix:
    Compute mean and deviation once, on training rows, and use them for both sets.

    Healthy runs that must pass:
    Sets drawn from one source; validation from another place or time, whose features differ each in its own way.

    Source:
    This project's list of checks: input_scale.
    """

    event = "data_scale"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("rows", 0.0) < ROWS:
            return None
        ratio, shift = of.get("ratio", math.nan), of.get("shift", math.nan)
        apart = abs(math.log(ratio)) if ratio > 0 else math.nan
        wide = TWICE if of.get("passed") else 1.0
        scaled = not apart <= wide * RATIO and of.get("even", 0.0) < max(EVEN, 0.25 * apart)
        moved = not abs(shift) <= wide * SHIFT and of.get("even_shift", 0.0) < max(EVEN, 0.5 * abs(shift))
        standard = sorted((of.get("standard_train", 0.0), of.get("standard_val", 0.0)))
        far = of.get("size_of_ratio", 0.0) > FAR or of.get("size_of_shift", 0.0) > FAR
        other = far and standard[1] >= STANDARD and standard[0] <= RAW
        code = "scaled" if scaled else "moved" if moved else "standardised" if other else "alike"
        measured = apart if code in ("scaled", "alike") else abs(shift) if code == "moved" else of["size_of_ratio"]
        evidence = [Fact(key, of[key]) for key in ("ratio", "shift", "features", "rows") if key in of]
        if code == "alike":
            measured = 0.0  # what differs, differs from feature to feature
        if code == "standardised":
            measured = max(of.get("size_of_ratio", 0.0), of.get("size_of_shift", 0.0))
        return Finding(
            code=code,
            measured=math.nan if any(map(math.isnan, of.values())) else measured,
            bounds=(ceiling(wide * (SHIFT if code == "moved" else RATIO)),),
            evidence=tuple(evidence),
            phrase="standard deviations of validation inputs are {ratio} times those of training, means "
            "differ by {shift} of them",
        )


_case = Cases(ValidationScaledAlike())
_ALIKE = {"ratio": 1.02, "shift": 0.03, "even": 0.05, "even_shift": 0.1, "features": 144.0, "rows": 256.0}
_ALIKE |= {"standard_train": 0.6, "standard_val": 0.5, "size_of_ratio": 0.03, "size_of_shift": 0.05}
_OTHER_PLACE = {**_ALIKE, "ratio": 1.6, "shift": 0.8, "even": 0.9, "even_shift": 1.2, "standard_train": 0.2}
_TABLE = {**_ALIKE, "ratio": 30.0, "even": 2.0, "even_shift": 9.0, "standard_train": 1.0, "standard_val": 0.0}
PASSES = (_case("perfect_oracle", [_ALIKE]), _case("another_place", [_OTHER_PLACE]))
FAILS = (
    _case("half_the_range", [{**_ALIKE, "ratio": 0.6}], "scaled", over=False),
    _case(
        "pixels_not_divided_beside_augmented_ones",
        [{**_ALIKE, "ratio": 12.9, "even": 0.45, "even_shift": 17.6, "passed": 1.0}],
        "scaled",
    ),
    _case("mean_not_subtracted", [{**_ALIKE, "shift": 1.9}], "moved", 1.9),
    _case("raw_table", [{**_TABLE, "size_of_ratio": 3.4}], "standardised", 3.4),
    _case("not_a_number", [{**_ALIKE, "ratio": math.nan}]),
)
