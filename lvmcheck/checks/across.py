"""One answer from several seeds: the outcomes of a check on each of them, decided together."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import Bound, BoundKind, Number, floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, Scalar, Status, error, failed, passed, pending
from lvmcheck.checks.wording import outcome_text, sentence
from lvmcheck.errors import BadValueError
from lvmcheck.statistics.seeds import Answer, chance_mean_below, chance_next_above, enough_pass, mean_reaches, sample

P = 0.01
"""Error rate of "the mean reaches its floor" where a suite states none."""


@dataclass(frozen=True, kw_only=True)
class Across:
    """What several seeds must show together.

    Attributes:
        needed: how many seeds must pass; None asks for the mean.
        of: of how many. p: error rate of the test of the mean.
    """

    needed: int | None = None
    of: int | None = None
    p: float = P

    def words(self) -> str:
        """``mean``, ``2 of 3``."""
        return "mean" if self.needed is None else f"{self.needed} of {self.of}"


def parse_across(text: str, p: float = P) -> Across:
    """``mean`` or ``2 of 3``.

    Raises:
        BadValueError: neither.
    """
    counted = re.fullmatch(r"([1-9]\d{0,2}) of ([1-9]\d{0,2})", text)
    if text != "mean" and counted is None:
        raise BadValueError("across", f"expected 'mean' or a count such as '2 of 3', got {text!r}")
    if not 0.0 < p < 0.5:
        raise BadValueError("p", f"expected above 0 and below 0.5, got {p:g}")
    if counted is None:
        return Across(p=p)
    needed, of = map(int, counted.groups())
    if needed > of:
        raise BadValueError("across", f"expected at most {of} of {of}, got {text!r}")
    return Across(needed=needed, of=of, p=p)


def decide(across: Across, outcomes: Mapping[int, Outcome], *, planned: int, looks: int) -> Outcome:
    """The answer over the seeds whose outcomes are known; pending while another seed can change it.

    Args:
        outcomes: seed -> its settled outcome, in the order of the seeds.
        planned: how many seeds there are to be.
        looks: how often the question is asked (1, or ``planned - 1`` when seeds are added one at a time).
    """
    for seed, outcome in outcomes.items():
        if outcome.status in (Status.ERROR, Status.NOT_APPLICABLE, Status.NOT_RECORDED):
            return error(f"seed{seed}: {outcome_text(outcome)}")
    decided = {seed: outcome for seed, outcome in outcomes.items() if outcome.decided}
    if len(decided) < len(outcomes):
        return pending("the seeds that are still training")
    if across.needed is not None:
        return _counted(across, across.needed, decided, planned)
    return _mean(across, decided, planned, looks)


def _counted(across: Across, needed: int, outcomes: Mapping[int, Outcome], planned: int) -> Outcome:
    results = [outcome.status is Status.PASSED for outcome in outcomes.values()]
    answer = enough_pass(results, needed=needed, planned=planned)
    finding = Finding(
        code="seeds_passed",
        metric=_first(outcomes).metric,
        measured=sum(results),
        bounds=(floor(needed, across.words()),),
        evidence=(Fact("total", planned), *_each(outcomes)),
        phrase="{measured} of {total} seeds pass",
    )
    return _settled(answer, finding, len(outcomes))


def _mean(across: Across, outcomes: Mapping[int, Outcome], planned: int, looks: int) -> Outcome:
    """The mean of the signed distances from the bound: what comes from each seed's own data is allowed for."""
    margins = [_margin(outcome) for outcome in outcomes.values()]
    if not margins:
        return pending("the first seed")
    answer = mean_reaches(margins, 0.0, p=across.p, planned=planned, looks=looks)
    first, measured = _first(outcomes), _measured(outcomes)
    finding = Finding(
        code="mean_over_seeds" if measured is not None else "mean_margin_over_seeds",
        metric=first.metric,
        measured=_average(margins if measured is None else measured),
        unit=first.unit,
        bounds=(floor(0.0),) if measured is None else (_bound(outcomes),),
        evidence=(
            Fact("seeds", len(outcomes), "seeds"),
            Fact("of", first.metric or first.code),
            *_spread(margins if measured is None else measured),
            *_chances(margins, across.p),
            *_each(outcomes),
        ),
        phrase="mean {of} of {seeds} {measured}"
        if measured is not None
        else "mean margin of {of} of {seeds} {measured}",
    )
    return _settled(answer, finding, len(outcomes))


def _settled(answer: Answer, finding: Finding, seeds: int) -> Outcome:
    if answer is Answer.OPEN:
        return pending(f"another seed: {sentence(finding)}", evaluated=seeds)
    return passed(finding, evaluated=seeds) if answer is Answer.YES else failed(finding, evaluated=seeds)


# -- figures of several seeds ----------------------------------------------------------------------------------------
def _margin(outcome: Outcome) -> float:
    finding = outcome.finding
    return math.nan if finding is None or finding.margin is None else finding.margin


def _first(outcomes: Mapping[int, Outcome]) -> Finding:
    """The first seed's finding, for what is the same in all of them."""
    findings = (outcome.finding for outcome in outcomes.values() if outcome.finding is not None)
    return next(findings, Finding(code="nothing_measured"))


def _limits(outcome: Outcome) -> list[tuple[BoundKind, Number]]:
    bounds = outcome.finding.bounds if outcome.finding is not None else ()
    kinds = (BoundKind.FLOOR, BoundKind.CEILING)
    return [(bound.kind, bound.value) for bound in bounds if bound.kind in kinds and not isinstance(bound.value, str)]


def _measured(outcomes: Mapping[int, Outcome]) -> list[float] | None:
    """What each seed measured, where each has a number and one bound of the same kind; else only margins compare."""
    limits = [_limits(outcome) for outcome in outcomes.values()]
    numbers = [outcome.finding.number for outcome in outcomes.values() if outcome.finding is not None]
    alike = len({tuple(kind for kind, _ in each) for each in limits}) == 1 and len(limits[0]) == 1
    return numbers if alike and len(numbers) == len(outcomes) else None


def _bound(outcomes: Mapping[int, Outcome]) -> Bound:
    """The mean of the seeds' bounds, which differ where each comes from the seed's own data."""
    limits = [_limits(outcome)[0] for outcome in outcomes.values()]
    values = [value for _, value in limits]
    return Bound(limits[0][0], values[0] if len(set(values)) == 1 else _average(values), "of the mean")


def _average(values: Sequence[Number]) -> float:
    return sum(values) / len(values)


def _spread(values: Sequence[float]) -> tuple[Fact, ...]:
    """Standard deviation and 95 % confidence interval of the mean; none for one seed, which shows no spread."""
    drawn = sample(values)
    if drawn.n < 2:
        return ()
    interval = (Fact("interval_95_low", drawn.low), Fact("interval_95_high", drawn.high))
    return (Fact("standard_deviation", drawn.sd), *interval)


def _chances(margins: Sequence[float], p: float) -> tuple[Fact, ...]:
    required = Fact("required_p", p)
    if len(margins) < 2 or not all(map(math.isfinite, margins)):
        return (required,)
    below, above = chance_mean_below(margins, 0.0), chance_next_above(margins, 0.0)
    return (Fact("p_of_mean_below_bound", below), required, Fact("probability_that_next_seed_passes", above))


def _each(outcomes: Mapping[int, Outcome]) -> tuple[Fact, ...]:
    return tuple(Fact(f"seed{seed}", _value(outcome)) for seed, outcome in outcomes.items())


def _value(outcome: Outcome) -> Scalar:
    return (outcome.why or outcome.status).value if outcome.finding is None else outcome.finding.measured
