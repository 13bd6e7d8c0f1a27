"""weights_keep_size: no weight matrix grows or shrinks out of proportion."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import band
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

LOW, HIGH = 0.01, 10.0


@dataclass(frozen=True, kw_only=True)
class WeightsKeepSize(Watched):
    """The norm of every weight matrix stays between 0.01 and 10 times that of the first measured step, in three
    measured steps in a row. Matrices that began much smaller than usual do not count.

    Why:
    Weights that grow tenfold are on their way to overflow; weights that decay to nothing have been forgotten by the
    loss and eaten by the decay.

    Usual causes:
    - A learning rate that is too high, or no weight decay under a norm.
    - Weight decay that is too strong, or applied twice.
    - A layer that the loss does not need.

    Fix:
    Lower the rate; give weight decay of 0.01 to 0.1 to matrices only; look at what the named layer is for.

    Healthy runs that must pass:
    Layers that begin at zero (adapters, last layers); growth by a factor of a few; pruning that is meant.
    """

    event = "weights"
    streak = 3

    def look(self, event: Watch) -> Finding:
        low, high = event.values.get("lowest", float("nan")), event.values.get("highest", float("nan"))
        shrunk = low < LOW
        subjects = event.subjects[:1] if shrunk else event.subjects[1:]
        return Finding(
            code="decayed" if shrunk else "grown",
            measured=low if shrunk or low != low else high,
            bounds=band(LOW, HIGH),
            evidence=tuple(Fact("parameter", name) for name in subjects),
            phrase="norm of {parameter} {measured} times its initial value" if subjects else "",
        )


_case = Cases(WeightsKeepSize())
PASSES = (
    _case("perfect_oracle", [{"lowest": 1.0, "highest": 1.0}] * 3, subjects=["a", "b"]),
    _case("a_factor_of_three", [{"lowest": 0.5, "highest": 3.0}] * 3, subjects=["a", "b"]),
)
FAILS = (
    _case("grown", [{"lowest": 1.0, "highest": 40.0}] * 3, "grown", 40, subjects=["a", "b"], parameter="b"),
    _case("decayed", [{"lowest": 1e-3, "highest": 1.0}] * 3, "decayed", 1e-3, subjects=["a", "b"], parameter="a"),
    _case("not_a_number", [{"lowest": 1.0, "highest": float("nan")}] * 3),
)
