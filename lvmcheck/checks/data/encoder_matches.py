"""encoder_matches: stored golden vectors are what the corpus holds, and what the encoder gives today."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Finding, Outcome, facts, not_applicable
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_least, settle
from lvmcheck.checks.shared.epochs import check_number

_COMPARED = {
    "stored": "lowest cosine of a golden vector with its corpus row {measured}",
    "encoded": "lowest cosine of a golden vector with its text encoded again {measured}",
}


@dataclass(frozen=True, kw_only=True)
class EncoderMatches(Gate):
    """Golden vectors have a cosine of at least `min_cosine` with their corpus rows and with their texts encoded again.

    Golden vectors are a few vectors kept beside the encoder, with the rows of the corpus they are copies of, with their
    texts, or both. Rows are compared where the rows are given; texts are encoded again (at most 48) where the encoder
    is named (`data.encoder`, `--encoder`) and installed. Where neither can be done, the check is not applicable.

    Why:
    The same model behind two services (another pooling, another library) gave vectors with a cosine of 0.08 to each
    other, and a whole data set was made with the wrong one. The original project's fingerprint used Python's hash(),
    which is salted in every process, so it could never be compared with a stored one.

    Usual causes:
    - Another build of the encoder, another pooling, or a missing normalisation.
    - The corpus was encoded again and the golden vectors were not, or the other way round.
    - The rows of the corpus have moved since the golden vectors were taken.

    Fix:
    Encode with the build that made the corpus, or encode everything again and take new golden vectors.

    Healthy runs that must pass:
    float16 storage and another processor, which move a cosine by less than 1e-5.

    Source:
    docs/history.md: a round trip gave 0.076 with the wrong build, 0.63 to 0.85 with the right one.
    """

    optional: ClassVar[str] = "golden"

    min_cosine: float = 0.999

    def __post_init__(self) -> None:
        check_number("min_cosine", self.min_cosine, -1, 1)

    def gate(self, data: DataFacts) -> Outcome:
        count = data.number("gate.golden.rows")
        found = [self._compare(data, code) for code in _COMPARED if data.has(f"gate.golden.{code}_rows")]
        if not found:
            return not_applicable(
                f"the {count:g} golden vectors name no rows of the corpus, and no encoder is named to encode their "
                "texts again"
            )
        return settle(found)

    def _compare(self, data: DataFacts, code: str) -> Finding:
        rows, mean, least = (data.number(f"gate.golden.{code}_{name}") for name in ("rows", "mean", "least"))
        evidence = facts(golden_vectors=rows, mean_cosine=mean)
        return at_least(code, least, self.min_cosine, evidence=evidence, phrase=_COMPARED[code])


_case = made.Cases(EncoderMatches())
PASSES = (
    _case("copies_of_rows", cases.run()),
    _case(
        "encoded_again",
        cases.run({"gate.golden.encoded_rows": 48, "gate.golden.encoded_mean": 1.0, "gate.golden.encoded_least": 1.0}),
    ),
)
FAILS = (
    _case(
        "another_build",
        cases.run(
            {"gate.golden.encoded_rows": 48, "gate.golden.encoded_mean": 0.076, "gate.golden.encoded_least": -0.02}
        ),
        "encoded",
        -0.02,
        mean_cosine=0.076,
    ),
    _case("rows_have_moved", cases.run({"gate.golden.stored_least": 0.3}), "stored", 0.3),
    _case("not_a_number", cases.run({"gate.golden.stored_least": math.nan}), measured=math.nan),
)
