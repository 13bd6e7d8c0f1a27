"""ood_same_space: vectors of the OOD sets come from the encoder that made the training vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Fact, Finding, Outcome, facts, not_applicable
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_least, settle
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class OodSameSpace(Gate):
    """Every OOD set spreads its variance over the directions of the training set as the training set does.

    The alignment, the correlation of the logarithms of both variances over all principal directions of the training
    vectors (4,000 targets of each, drawn at random), is at least `min_alignment`. Shown and not judged, because they
    depend on what the text is about: overlap of the 16 strongest directions and cosine of the mean vectors. Shown, and
    judged only with `max_loss`: how far the linear predictor fitted on training data is below the mean of context on
    the OOD set. It misses a rotation where that predictor is close to a mean (real text: .520 against .514 even after
    one), and it blames the OOD set for training data in the wrong order.

    Why:
    Vectors of another encoder have sound geometry of their own: the same lengths, lags and baselines. Only together
    with the training vectors do they look foreign. The original project had two builds of one encoder whose vectors had
    a cosine of 0.08 with each other, and a data set that mixed them up.

    Usual causes:
    - Another encoder, or another build of it (another pooling, another service), made the OOD vectors.
    - Dimensions were permuted or the vectors rotated (a PCA fitted on each set).
    - Vectors were whitened or centred in one of the sets.

    Fix:
    Encode the OOD texts with the encoder of the training set; check a few stored golden vectors (encoder_matches).

    Healthy runs that must pass:
    Text about something else: Python's documentation against Wikipedia shares neither mean direction (cosine .05) nor
    strongest directions (overlap .07, chance .04), and its alignment is .89. A rotation of it has about 0.

    Source:
    docs/history.md: two encoder services; alignment measured on WikiText, enwiki, pydoc and their rotations.
    """

    optional: ClassVar[str] = "ood"

    min_alignment: float = 0.5
    max_loss: float | None = None

    def __post_init__(self) -> None:
        check_number("min_alignment", self.min_alignment, -1, 1)
        if self.max_loss is not None:
            check_number("max_loss", self.max_loss, 0, 2)

    def gate(self, data: DataFacts) -> Outcome:
        sets = [part for part in data.parts() if part.startswith("ood.")]
        if not sets:
            return not_applicable("the data have no OOD set; give one with --lvm-ood PATH")
        return settle([finding for part in sets for finding in self._part(data, part)])

    def _part(self, data: DataFacts, part: str) -> list[Finding]:
        linear, mean = data.number(f"{part}.best_linear"), data.number(f"{part}.mean_of_context")
        names = ("overlap", "overlap_chance", "mean_cosine")
        space = {name: data.number(f"gate.{part}.space_{name}") for name in names}
        evidence = (Fact("part", part), *facts(space, best_linear=linear, mean_of_context=mean))
        found = [
            at_least(
                "alignment",
                data.number(f"gate.{part}.space_alignment"),
                self.min_alignment,
                evidence=evidence,
                phrase="{part}: alignment with the training set {measured}",
            )
        ]
        if self.max_loss is not None:
            found.append(
                at_least(
                    "linear_predictor",
                    linear - mean,
                    -self.max_loss,
                    evidence=evidence,
                    phrase="{part}: linear predictor of the training set minus mean of context {measured}",
                )
            )
        return found


_case = made.Cases(OodSameSpace())
PASSES = (_case("wikitext_enwiki_and_pydoc", cases.run()), _case("twin", cases.run(facts=cases.TWIN)))
FAILS = (
    _case(
        "rotated_real_text",
        cases.run({"gate.ood.pydoc.space_alignment": -0.059, "ood.pydoc.best_linear": 0.5199}),
        "alignment",
        -0.059,
        part="ood.pydoc",
    ),
    _case(
        "rotated_twin",
        cases.run({"gate.ood.coherent.space_alignment": 0.048, "ood.coherent.best_linear": 0.6583}, cases.TWIN),
        "alignment",
        0.048,
    ),
    made.case(
        "not_predictable",
        OodSameSpace(max_loss=0.02),
        cases.run({"ood.enwiki.best_linear": 0.45}),
        "linear_predictor",
        part="ood.enwiki",
    ),
    _case("not_a_number", cases.run({"gate.ood.pydoc.space_alignment": math.nan}), measured=math.nan),
)
