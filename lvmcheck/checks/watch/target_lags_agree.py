"""target_lags_agree: the targets of positions are shifted alike in training and validation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

CLEAR, MOST = 0.2, 0.1


@dataclass(frozen=True, kw_only=True)
class TargetLagsAgree(Watched):
    """Where inputs [N, T, ...] and targets [N, T] are held, the targets of training follow from the inputs at the same
    lag as those of validation (a linear fit at lags of -2 to 2, clear in both): at most a tenth of what it finds is
    lost at the other lag. Of loaders that hold
    tensors or arrays, named or found.

    Why:
    A tagger whose targets are one position late learns a delay, and is wrong wherever it is used.

    Usual causes:
    - Targets of one set were shifted, padded or cut at the other end.
    - A window of targets begins one position after that of its inputs.

    Fix:
    Shift the targets of both sets by the same number of positions.

    Healthy runs that must pass:
    Forecasts, whose targets are ahead in both sets; series that are the same a step later.

    Source:
    This project's list of checks: label_alignment.
    """

    event = "target_lag"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        lost = any(map(math.isnan, of.values()))
        if of.get("found", 0.0) < CLEAR and not lost:
            return None
        other = of.get("lag") != of.get("lag_of_val")
        return Finding(
            code="other_lag" if other else "same_lag",
            measured=math.nan if lost else of.get("off") if other else 0.0,
            bounds=(ceiling(MOST),),
            evidence=tuple(Fact(key, of[key]) for key in ("lag", "lag_of_val", "found", "rows") if key in of),
            phrase="targets of training follow from inputs at lag {lag}, those of validation at lag {lag_of_val}",
        )


_case = Cases(TargetLagsAgree())
_SAME = {"lag": 0.0, "lag_of_val": 0.0, "found": 0.6, "off": 0.0, "rows": 192.0}
PASSES = (
    _case("perfect_oracle", [_SAME]),
    _case("slow_series", [{**_SAME, "lag": 1.0, "off": 0.02}], measured=0.02),
)
FAILS = (
    _case("one_late", [{**_SAME, "lag": -1.0, "off": 0.6}], "other_lag", 0.6),
    _case("not_a_number", [{**_SAME, "found": math.nan}]),
)
