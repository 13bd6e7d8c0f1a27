"""output_not_probabilities: the model's output is logits where the loss is cross entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

SUM, FITS = 1e-3, 0.01


@dataclass(frozen=True, kw_only=True)
class OutputNotProbabilities(Watched):
    """Outputs whose rows (or columns) are probabilities that sum to 1 do not go into cross entropy, two measured
    steps in a row.

    Why:
    cross_entropy applies softmax to what it is given: a softmax inside the model is one too many, and one over the
    wrong axis mixes the rows of a batch.

    Usual causes:
    - The last module is nn.Softmax, or forward ends with softmax.
    - softmax(dim=0) on a batch.

    Fix:
    Return logits; apply softmax where probabilities are shown.

    Healthy runs that must pass:
    Probabilities with a loss that expects them (log and nll_loss, squared error); policies; attention weights.
    """

    exempt: ClassVar[Mapping[str, str]] = {
        "nan": "the form of the outputs and that of the loss decide together; not_a_number is a case of its own"
    }
    event = "output_form"
    streak = 2

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        error = min(of.get("sum_error", float("nan")), of.get("column_error", float("inf")))
        if not of.get("cross_entropy", 1.0) < FITS:
            return None
        across = of.get("sum_error", float("nan")) <= of.get("column_error", float("inf"))
        return Finding(
            code="probabilities" if across else "softmax_over_the_batch",
            measured=error if of.get("lowest", -1.0) >= 0 else 1.0,
            bounds=(floor(SUM),),
            evidence=(Fact("distance_from_cross_entropy", of.get("cross_entropy")),),
            phrase="outputs sum to 1 (within {measured}), and the loss expects logits",
        )


_case = Cases(OutputNotProbabilities())
_LOGITS = {"sum_error": 4.0, "column_error": 30.0, "lowest": -3.0, "cross_entropy": 1e-6}
PASSES = (
    _case("perfect_oracle", [_LOGITS] * 2),
    _case(
        "probabilities_with_another_loss", [{**_LOGITS, "sum_error": 0.0, "lowest": 0.0, "cross_entropy": 0.5}, _LOGITS]
    ),
)
_SUMS = {**_LOGITS, "sum_error": 1e-7, "lowest": 0.01}
FAILS = (
    _case("model_ends_with_softmax", [_SUMS] * 2, "probabilities", 1e-7),
    _case("softmax_over_the_batch", [{**_SUMS, "sum_error": 0.5, "column_error": 1e-7}] * 2, "softmax_over_the_batch"),
    _case("not_a_number", [{**_SUMS, "sum_error": float("nan"), "column_error": float("nan")}] * 2),
)
