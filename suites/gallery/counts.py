"""Counts over judged programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lvmcheck.commands._exit import PASSED
from suites.gallery.judge import Judgement, Kind, of_kind


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many of the programs ended how; shares are 1 where there is none to count.

    Args:
        broken, hidden, healthy: programs by kind.
        flagged: broken with exit code 1; ``warned`` are those that only warn.
        first: broken with a right cause first; ``tied`` are those with one in the tie of the first.
        hidden_flagged: hidden with exit code 1.
        failed: healthy with an exit code that is not 0; ``healthy_warned`` are those that only warn.
    """

    broken: int
    flagged: int
    warned: int
    first: int
    tied: int
    hidden: int
    hidden_flagged: int
    healthy: int
    failed: int
    healthy_warned: int

    @property
    def flagged_share(self) -> float:
        return self.flagged / self.broken if self.broken else 1.0

    @property
    def right_share(self) -> float:
        return (self.first + self.tied) / self.broken if self.broken else 1.0


def count(judgements: Iterable[Judgement]) -> Counts:
    every = list(judgements)
    broken, hidden, healthy = (list(of_kind(every, kind)) for kind in Kind)
    return Counts(
        broken=len(broken),
        flagged=sum(item.flagged for item in broken),
        warned=sum(item.only_warned for item in broken),
        first=sum(item.first for item in broken),
        tied=sum(item.right and not item.first for item in broken),
        hidden=len(hidden),
        hidden_flagged=sum(item.flagged for item in hidden),
        healthy=len(healthy),
        failed=sum(item.concluded.exit != PASSED for item in healthy),
        healthy_warned=sum(item.only_warned for item in healthy),
    )


def tie_size(judgements: Iterable[Judgement]) -> float:
    """Causes in the first place of a broken program, on average over those that have any."""
    firsts = (item.concluded.named[:1] for item in of_kind(judgements, Kind.BROKEN))
    sizes = [1 + len(cause.also) for causes in firsts for cause in causes]
    return sum(sizes) / len(sizes) if sizes else 0.0
