"""order_scrambled: the chunks of the corpus are not in reading order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.data import _gate_cases as gates
from lvmcheck.checks.finding import Fact, Finding, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

NULL = 0.05
"""Share of rows without an article above which a lost sort key explains a poor lag profile."""
FLAT = 0.04
"""Lag 1 minus the last lag below which there is no order; 0.00 when shuffled, 0.09 to 0.13 in reading order."""
NEAR = 0.03
"""A model that is at most this far below the mean of context of its data was trained normally for them."""
SHOWN = {
    "low_fall": "chunks next to each other are hardly more alike than chunks five apart",
    "low_shape": "the next chunk stands out too little, as where chunks are shuffled over a few rows",
    "period": "every {block} rows neighbours belong apart, as where blocks of that size were shuffled or moved",
}
EXPLAINS = frozenset(
    {
        *("lag_profile", "document_order", "groups", "windows_inside_articles", "pairs_kept", "difficulty_parity"),
        *("cosine_floor", "beats_baselines", "improves", "nothing_learned"),
    }
)


class OrderScrambled(Cause):
    """The rows of the corpus are in no reading order: the context holds little information about the target."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding, phrase, more = _seen(evidence)
        if finding is None:
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase=f"rows are not in document order: {phrase}",
            evidence=(*more, *finding_facts(finding), *_normal(evidence)),
            explains=EXPLAINS,
            ruled_out=evidence.ruled_out(
                {"finite": "numerical problems", "loss_balance": "a dominant loss term", "not_diverging": "divergence"}
            ),
            fix="build the corpus again, sorted by article and by the position of each chunk in it",
            next="lvmcheck explain lag_profile",
        )


def _seen(evidence: Evidence) -> tuple[Finding | None, str, tuple[Fact, ...]]:
    """The finding that shows it, what it shows in words, and facts that come first; nothing where none does."""
    profile, order, groups = (evidence.failed(check) for check in ("lag_profile", "document_order", "groups"))
    null, drop = _null_share(evidence.run.facts), _drop(evidence.run.facts)
    if null is not None and null > NULL and (profile or order):
        lost = facts(unit="%", rows_without_id=100 * null)
        return profile or order, "{rows_without_id} of them have lost their article id", lost
    if groups is not None and groups.code == "torn_articles" and not math.isnan(groups.number):
        torn = facts(torn_pieces=groups.number)
        return groups, "the rows of {part} keep their article ids and lie apart, in {torn_pieces} pieces", torn
    if order is not None and order.code in SHOWN and not math.isnan(order.number):
        return order, SHOWN[order.code], ()
    if profile is not None and drop is not None and drop < FLAT:
        return profile, "adjacent rows are not adjacent chunks", ()
    return None, "", ()


def _null_share(facts: Mapping[str, object]) -> float | None:
    for part in ("data", "train"):
        rows, null = facts.get(f"gate.{part}.rows"), facts.get(f"gate.{part}.null_rows")
        if isinstance(rows, int) and isinstance(null, int) and rows > 0:
            return null / rows
    return None


def _drop(facts: Mapping[str, object]) -> float | None:
    profile = facts.get("gate.train.lag_profile")
    if not isinstance(profile, list) or len(profile) < 2 or not all(isinstance(value, float) for value in profile):
        return None
    return float(profile[0] - profile[-1])


def _normal(evidence: Evidence) -> tuple[Fact, ...]:
    """The cosine of a model that has learned what its scrambled data allow: it was trained normally."""
    linear, mean = (evidence.run.facts.get(name) for name in ("best_linear", "mean_of_context"))
    val = evidence.last("val_cosine")
    if not isinstance(linear, float) or not isinstance(mean, float) or val is None or not val >= mean - NEAR:
        return ()
    return facts(trained_normally=True, val_cosine=val, mean_of_context=mean, best_linear=linear)


# The twin with 80.5 % of its rows scrambled, and with the chunks of every article shuffled, as measured.
_SCRAMBLED: dict[str, ev.Value] = {
    "mean_of_context": 0.4167,
    "best_linear": 0.4923,
    "gate.train.rows": 6460,
    "gate.train.null_rows": 5200,
    "gate.train.lag_profile": [0.274, 0.265, 0.262, 0.262, 0.254],
    "gate.validation.lag_profile": [0.290, 0.275, 0.264, 0.269, 0.264],
}
_SHUFFLED: dict[str, ev.Value] = {
    "gate.train.lag_profile": [0.349, 0.351, 0.351, 0.349, 0.346],
    "gate.validation.lag_profile": [0.350, 0.346, 0.348, 0.347, 0.344],
}
_MOVED: dict[str, ev.Value] = {
    "gate.data.order_period": 3,
    "gate.data.order_period_excess": 27.6,
    "gate.data.order_period_inside": 0.438,
    "gate.data.order_period_edge": 0.374,
}
_LOW: dict[str, ev.Value] = {"gate.train.lag_profile": [0.31, 0.25, 0.22, 0.20, 0.19]}


def _trained(changes: Mapping[str, ev.Value], cosines: Sequence[float] = (0.46, 0.47)) -> Run:
    return made.val_run(cosines, facts={**gates.TWIN, **changes})


PASSES = (
    case("healthy_twin", _trained({})),
    case("wikitext", gates.run()),
    case("another_encoder_with_lower_cosines", _trained(_LOW)),
    case("lost_ids_in_reading_order", _trained({"gate.train.null_rows": 5200})),
)
FAILS = (
    case("attempts_1_and_3", _trained(_SCRAMBLED), Standing.MEASURED, rows_without_id=80.495, trained_normally=True),
    case("blocks_of_three_moved", gates.run(_MOVED), block=3, cosine_at_edges=0.374),
    case("ids_moved_along", gates.run({"gate.data.torn_articles": 30_000}), torn_pieces=30_000),
    case("shuffled_inside_articles", _trained(_SHUFFLED), lag_1=0.349, lag_5=0.346),
)
