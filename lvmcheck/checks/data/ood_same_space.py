"""ood_same_space: vectors of the OOD sets come from the encoder that made the training vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import Facts, Gate, said
from lvmcheck.checks.finding import Outcome, not_applicable
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import Comparison, at_least, settle
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
    with the training vectors do they look foreign. The ancestors had two builds of one encoder whose vectors had a
    cosine of 0.08 with each other, and a data set that mixed them up.

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
    The two encoder services of the ancestors; alignment measured on WikiText, enwiki, pydoc and their rotations.
    """

    optional: ClassVar[str] = "ood"

    min_alignment: float = 0.5
    max_loss: float | None = None

    def __post_init__(self) -> None:
        check_number("min_alignment", self.min_alignment, -1, 1)
        if self.max_loss is not None:
            check_number("max_loss", self.max_loss, 0, 2)

    def gate(self, facts: Facts) -> Outcome:
        sets = [part for part in facts.parts() if part.startswith("ood.")]
        if not sets:
            return not_applicable("the data have no OOD set; give one with --lvm-ood PATH")
        return settle([verdict for part in sets for verdict in self._part(facts, part)])

    def _part(self, facts: Facts, part: str) -> list[Comparison]:
        def number(name: str) -> float:
            return facts.number(f"gate.{part}.space_{name}")

        linear, mean = facts.number(f"{part}.best_linear"), facts.number(f"{part}.mean_of_context")
        shown = [
            f"overlap of the strongest directions {figure(number('overlap'))} "
            f"(chance {figure(number('overlap_chance'))}), cosine of the means {figure(number('mean_cosine'))}",
            f"linear predictor of the training set {figure(linear)}, mean of context {figure(mean)}",
        ]
        where = said(part)
        found = [
            at_least(f"alignment of {where} with the training set", number("alignment"), self.min_alignment, shown)
        ]
        if self.max_loss is not None:
            what = f"linear predictor minus mean of context on {where}"
            found.append(at_least(what, linear - mean, -self.max_loss, shown))
        return found


_CHECK = OodSameSpace()
PASSES: Sequence[Case] = (
    made.case("wikitext_enwiki_and_pydoc", _CHECK, cases.run()),
    made.case("twin", _CHECK, cases.run(facts=cases.TWIN)),
)
FAILS: Sequence[Case] = (
    made.case(
        "rotated_real_text",
        _CHECK,
        cases.run({"gate.ood.pydoc.space_alignment": -0.059, "ood.pydoc.best_linear": 0.5199}),
        ("alignment of OOD pydoc",),
    ),
    made.case(
        "rotated_twin",
        _CHECK,
        cases.run({"gate.ood.coherent.space_alignment": 0.048, "ood.coherent.best_linear": 0.6583}, cases.TWIN),
        ("alignment",),
    ),
    made.case(
        "not_predictable",
        OodSameSpace(max_loss=0.02),
        cases.run({"ood.enwiki.best_linear": 0.45}),
        ("linear predictor minus mean of context on OOD enwiki",),
    ),
    made.case("not_a_number", _CHECK, cases.run({"gate.ood.pydoc.space_alignment": math.nan}), ("NaN",)),
)
