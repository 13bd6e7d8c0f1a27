"""lag_profile: chunks are more alike the nearer they stand, as in text that is in reading order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Fact, Finding, Outcome, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class LagProfile(Gate):
    """Mean cosine of a chunk with the 1st, 2nd, ... chunk before it: high at lag 1, decreasing, and clearly so.

    On windows of train and of validation, at most 4,000 each, drawn at random: lag 1 is at least `min_adjacent`, or
    with `over_random` at least that much above the cosine of two random chunks; lag 1 is at least `min_drop` above the
    last lag; no lag is more than `slack` above the one before it.

    Why:
    A predictor of the next chunk can learn nothing but order. The 790k corpus was built in another order than
    its predecessor: adjacent cosine .336 instead of .457, and 13 documents looked at model, loss and seed instead. A
    flat profile (.353 to .338) means that chunks of one group are in no order. Samples from the first rows came from
    few articles and did not represent the rest, hence the random draw.

    Usual causes:
    - Rows sorted by a key with ties (a bulk-insert time), or grouped under a null id.
    - Chunks of an article shuffled, by a parallel encoder or by a split at random.
    - Windows joined from several articles.

    Fix:
    Sort by article and position, and compare the profile with the one of a known corpus of the same encoder.

    Healthy runs that must pass:
    Encoders with a small common direction (random cosine .04) and with a large one (.24): no fixed range of lag 1 is
    right for every encoder, so set min_adjacent, or over_random, for another one.

    Source:
    docs/history.md: the original project's gates (coherence 0.40, signal 0.08, monotone) and lag tables.
    """

    min_adjacent: float = 0.40
    over_random: float | None = None
    min_drop: float = 0.08
    slack: float = 0.005

    def __post_init__(self) -> None:
        check_number("min_adjacent", self.min_adjacent, -1, 1)
        if self.over_random is not None:
            check_number("over_random", self.over_random, 0, 2)
        check_number("min_drop", self.min_drop, 0, 2)
        check_number("slack", self.slack, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        data.parts()
        return settle([finding for part in ("train", "validation") for finding in self._part(data, part)])

    def _part(self, data: DataFacts, part: str) -> list[Finding]:
        profile = data.numbers(f"gate.{part}.lag_profile")
        random = data.number(f"gate.{part}.random_cosine")
        windows = data.number(f"gate.{part}.lag_windows")
        lags = {f"lag_{i}": value for i, value in enumerate(profile, 1)}
        evidence = (Fact("part", part), *facts(lags, random=random, windows=windows))
        found = [
            at_least(
                "adjacent_cosine",
                profile[0],
                self.min_adjacent if self.over_random is None else random + self.over_random,
                evidence=evidence,
                phrase="{part}: cosine of adjacent chunks {measured}",
            )
        ]
        return [*found, *self._course(profile, evidence)] if len(profile) > 1 else found

    def _course(self, profile: Sequence[float], evidence: tuple[Fact, ...]) -> list[Finding]:
        """How the cosine falls from lag to lag."""
        rise = max(later - earlier for earlier, later in itertools.pairwise(profile))
        if any(map(math.isnan, profile)):
            rise = math.nan
        fall = "{part}: lag 1 minus the last lag {measured}"
        return [
            at_least("lag_drop", profile[0] - profile[-1], self.min_drop, evidence=evidence, phrase=fall),
            at_most(
                "lag_rise",
                rise,
                self.slack,
                evidence=evidence,
                phrase="{part}: largest rise from one lag to the next {measured}",
            ),
        ]


_case = made.Cases(LagProfile())
PASSES = (
    _case("wikitext", cases.run()),
    _case("twin", cases.run(facts=cases.TWIN)),
    made.case("relative", LagProfile(over_random=0.25), cases.run()),
    _case("corpus_584k", cases.run({"gate.train.lag_profile": [0.4569, 0.3869, 0.3649, 0.3515, 0.3399]})),
)
FAILS = (
    _case(
        "corpus_790k",
        cases.run({"gate.train.lag_profile": [0.336, 0.31, 0.29, 0.27, 0.255]}),
        "adjacent_cosine",
        0.336,
        part="train",
        lag_5=0.255,
    ),
    made.case(
        "corpus_367k_flat",
        LagProfile(min_adjacent=0.3),
        cases.run({"gate.train.lag_profile": [0.3532, 0.3449, 0.3401, 0.3381, 0.3383]}),
        "lag_drop",
        0.0149,
    ),
    _case(
        "not_decreasing",
        cases.run({"gate.validation.lag_profile": [0.47, 0.30, 0.41, 0.38, 0.35]}),
        "lag_rise",
        0.11,
        part="validation",
    ),
    made.case(
        "relative_to_random", LagProfile(over_random=0.25), cases.run({"gate.train.random_cosine": 0.25}), random=0.25
    ),
    _case("not_a_number", cases.run({"gate.train.lag_profile": [math.nan] * 5}), measured=math.nan),
)
