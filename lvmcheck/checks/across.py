"""One answer from several seeds: the outcomes of a check on each of them, decided together."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, Status, error, failed, passed, pending
from lvmcheck.checks.wording import figure
from lvmcheck.statistics.seeds import (
    Answer,
    chance_mean_below,
    chance_next_above,
    enough_pass,
    mean_reaches,
    sample,
)

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
        ValueError: neither.
    """
    counted = re.fullmatch(r"([1-9]\d{0,2}) of ([1-9]\d{0,2})", text)
    if text != "mean" and counted is None:
        raise ValueError(f"expected 'mean' or a count such as '2 of 3', got {text!r}")
    if not 0.0 < p < 0.5:
        raise ValueError(f"expected p above 0 and below 0.5, got {p:g}")
    if counted is None:
        return Across(p=p)
    needed, of = map(int, counted.groups())
    if needed > of:
        raise ValueError(f"expected at most {of} of {of}, got {text!r}")
    return Across(needed=needed, of=of, p=p)


def decide(across: Across, found: Mapping[int, Outcome], *, planned: int, looks: int) -> Outcome:
    """The answer over the seeds whose outcomes are known; pending while another seed can change it.

    Args:
        found: seed -> its settled outcome, in the order of the seeds.
        planned: how many seeds there are to be.
        looks: how often the question is asked (1, or ``planned - 1`` when seeds are added one at a time).
    """
    for seed, outcome in found.items():
        if outcome.status in (Status.ERROR, Status.NOT_APPLICABLE):
            return error(f"seed{seed} could not be judged: {outcome.sentence()}")
    decided = {seed: outcome for seed, outcome in found.items() if outcome.decided}
    if len(decided) < len(found):
        return pending("awaits the seeds that are still training")
    if across.needed is not None:
        return _counted(across, decided, planned)
    return _mean(across, decided, planned, looks)


def _counted(across: Across, found: Mapping[int, Outcome], planned: int) -> Outcome:
    assert across.needed is not None
    results = [outcome.status is Status.PASSED for outcome in found.values()]
    answer = enough_pass(results, needed=across.needed, planned=planned)
    finding = Finding(
        what=f"seeds that pass ({_what(found)})",
        measured=sum(results),
        wanted=f"at least {across.needed} of {planned}",
        margin=float(sum(results) - across.needed),
        evidence=_each(found),
    )
    return _settled(answer, finding, len(found))


def _mean(across: Across, found: Mapping[int, Outcome], planned: int, looks: int) -> Outcome:
    """The mean of the signed distances from the bound: what comes from each seed's own data is allowed for."""
    margins = [_margin(outcome) for outcome in found.values()]
    if not margins:
        return pending("awaits the first seed")
    answer = mean_reaches(margins, 0.0, p=across.p, planned=planned, looks=looks)
    measured = [outcome.finding.measured for outcome in found.values() if outcome.finding is not None]
    numbers = [value for value in measured if isinstance(value, int | float)]
    spread = sample(numbers).sentence() if len(numbers) == len(found) else f"mean margin {sample(margins).mean:+.4g}"
    said = [spread, *_each(found)]
    if len(margins) > 1 and all(map(math.isfinite, margins)):
        said.insert(1, f"p = {figure(chance_mean_below(margins, 0.0))} that the mean is not above the bound")
        said.insert(2, f"the next seed reaches it with probability {chance_next_above(margins, 0.0):.2f}")
    bound = next((outcome.finding.wanted for outcome in found.values() if outcome.finding), "the bound")
    finding = Finding(
        what=f"mean over {len(found)} seeds of {_what(found)}",
        measured=sum(numbers) / len(numbers) if len(numbers) == len(found) else math.nan,
        wanted=f"{bound} for the mean, shown at p < {across.p:g}",
        margin=sum(margins) / len(margins),
        evidence=tuple(said),
    )
    return _settled(answer, finding, len(found))


def _settled(answer: Answer, finding: Finding, seeds: int) -> Outcome:
    if answer is Answer.OPEN:
        return pending(f"awaits another seed: {finding.sentence()}", evaluated=seeds)
    return passed(finding, evaluated=seeds) if answer is Answer.YES else failed(finding, evaluated=seeds)


def _margin(outcome: Outcome) -> float:
    finding = outcome.finding
    return math.nan if finding is None or finding.margin is None else finding.margin


def _what(found: Mapping[int, Outcome]) -> str:
    return next((outcome.finding.what for outcome in found.values() if outcome.finding is not None), "the check")


def _each(found: Mapping[int, Outcome]) -> tuple[str, ...]:
    parts = []
    for seed, outcome in found.items():
        value = outcome.finding.measured if outcome.finding is not None else None
        shown = figure(value) if isinstance(value, int | float) else outcome.sentence()
        parts.append(f"seed{seed} {shown}")
    return ("; ".join(parts),)
