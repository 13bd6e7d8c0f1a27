"""similarities_spread: similarities within a batch are far enough apart for softmax to tell them."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

LEAST, FROM = 0.7, 40
"""Range of logits within which the likeliest of two pairs is twice as likely as the other, and step from
which it is asked for."""


@dataclass(frozen=True, kw_only=True)
class SimilaritiesSpread(Watched):
    """Where the logits of a cross entropy compare a batch with a batch, their range is at least 0.7 (e ** 0.7 is 2) in
    one of any ten measured steps in a row after the first forty.

    Why:
    Cosines lie between -1 and 1. Divided by a scale of 14 in place of multiplied they give every pair about the same
    probability: the loss rests next to ln of the batch size, however good the ranking gets.

    Usual causes:
    - Similarities are divided by a logit scale, or multiplied by a temperature.
    - A learned temperature begins at 0 where its logarithm is meant.

    Fix:
    logits = cosines / temperature, with a temperature of 0.05 to 0.5.

    Healthy runs that must pass:
    The first steps, in which all similarities are alike; dot products without normalisation.
    """

    event = "similarities"
    streak = 10

    def look(self, event: Watch) -> Finding | None:
        if event.values.get("pairs") == 0.0 or event.step < FROM:
            return None
        return Finding(
            code="flat",
            measured=event.values.get("range"),
            bounds=(floor(LEAST),),
            phrase="logits that compare the pairs of a batch lie within {measured}",
        )


_case = Cases(SimilaritiesSpread())


def _ranges(*values: float, early: int = 39) -> list[dict[str, float]]:
    return [{"pairs": 1.0, "range": value} for value in ([0.2] * early + list(values))]


PASSES = (
    _case("perfect_oracle", _ranges(*[14.0] * 12)),
    _case("alike_at_first", _ranges(*[0.3] * 8, 0.9, *[2.0] * 4)),
)
FAILS = (
    _case("divided_by_the_scale", _ranges(*[0.13] * 12), "flat", 0.13, step=49),
    _case("not_a_number", _ranges(*[float("nan")] * 12)),
)
