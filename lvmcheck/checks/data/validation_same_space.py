"""validation_same_space: validation vectors were made, centred and scaled as the training vectors were."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Finding, Outcome, compared, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_number

CENTRE = 0.1
"""Length of the training set's mean vector below which it has none that centring could take away."""
PREFIX = "gate.validation.space_"


@dataclass(frozen=True, kw_only=True)
class ValidationSameSpace(Gate):
    """Validation targets lie in the space of the training targets, with their mean and their lengths.

    On 4,000 targets of each, drawn at random: variances along the training set's principal directions agree
    (`min_alignment`, as in ood_same_space); of the training set's mean vector the validation set keeps at least
    `min_mean` (not asked where that is shorter than 0.1); the root mean square lengths differ by at most `max_length`,
    as a share. The first of these that fails is the finding.

    Why:
    Vectors that were transformed on one side of the split look like a model that memorises: training goes well, and
    validation does not follow. Nothing in the training set is wrong, and no model and no rate helps.

    Usual causes:
    - A mean was subtracted, or a standard scaler fitted, on validation alone, or applied to it alone.
    - Validation vectors were not divided by their length, or divided twice by something else.
    - Another encoder, or another build of it, made the validation vectors.

    Fix:
    Put both sides through one function, with what it fits taken from the training set.

    Healthy runs that must pass:
    Held-out articles about something else: nine articles of enwiki keep 0.64 of the mean of the others.

    Source:
    docs/gates.md: splits of WikiText, enwiki, pydoc and the twin, with their validation transformed.
    """

    min_alignment: float = 0.5
    min_mean: float = 0.35
    max_length: float = 0.02

    def __post_init__(self) -> None:
        check_number("min_alignment", self.min_alignment, -1, 1)
        check_number("min_mean", self.min_mean, -1, 1)
        check_number("max_length", self.max_length, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        data.parts()
        found = self._findings(data)
        broken = next((finding for finding in found if not finding.met), None)
        return settle(found) if broken is None else compared(broken, evaluated=len(found))

    def _findings(self, data: DataFacts) -> list[Finding]:
        names = ("alignment", "mean_kept", "mean_length", "length", "mean_cosine")
        alignment, kept, centre, length, cosine = (data.number(PREFIX + name) for name in names)
        at = facts(
            alignment=alignment, mean_kept=kept, train_mean_length=centre, relative_length=length, mean_cosine=cosine
        )
        found = [
            at_least(
                "other_space",
                alignment,
                self.min_alignment,
                evidence=at,
                phrase="alignment of validation with the training set {measured}",
            )
        ]
        if not centre < CENTRE:
            words = "part of the training set's mean vector that validation has {measured}"
            found.append(at_least("mean", kept, self.min_mean, evidence=at, phrase=words))
        words = "lengths of validation vectors differ from those of training by a share of {measured}"
        return [*found, at_most("length", abs(length - 1.0), self.max_length, evidence=at, phrase=words)]


_case = made.Cases(ValidationSameSpace())
PASSES = (
    _case("wikitext", cases.run()),
    _case("twin", cases.run(facts=cases.TWIN)),
    _case("nine_other_articles", cases.run({PREFIX + "mean_kept": 0.64, PREFIX + "mean_cosine": 0.48})),
    _case("both_centred", cases.run({PREFIX + "mean_length": 0.02, PREFIX + "mean_kept": -0.4})),
)
FAILS = (
    _case("another_encoder", cases.run({PREFIX + "alignment": 0.03}), "other_space", 0.03),
    _case("centred", cases.run({PREFIX + "mean_kept": 0.01, PREFIX + "length": 0.975}), "mean", 0.01),
    _case("flipped", cases.run({PREFIX + "mean_kept": -0.97}), "mean", -0.97),
    _case("twice_as_long", cases.run({PREFIX + "length": 2.0}), "length", 1.0),
    _case("not_a_number", cases.run({PREFIX + "alignment": math.nan}), measured=math.nan),
)
