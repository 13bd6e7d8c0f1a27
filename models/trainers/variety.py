"""How varied generated text is: figures over the continuations of many prompts, in tokens."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby, pairwise

Tokens = Sequence[int]


def variety(continuations: Sequence[Tokens], answers: Sequence[str], right: Sequence[bool]) -> dict[str, float]:
    """What a collapse shows in: one token, one phrase or one answer for everything.

    Args:
        continuations: one a prompt, without the end token; may be empty.
        answers: the right answer of each prompt. right: whether the continuation gives it.

    Returns:
        ``distinct_1`` and ``distinct_2`` (different tokens, and pairs of neighbours, over all: Li et al. 2016),
        ``longest_run`` of one token, ``top_token_share``, ``entropy`` of the tokens in nats, ``identical_share`` of
        prompts whose continuation is wrong and also that of a prompt with another answer, ``prompts`` and ``tokens``.
        What cannot be computed (no token, no pair) is absent.
    """
    counts = Counter(token for tokens in continuations for token in tokens)
    pairs = Counter(pair for tokens in continuations for pair in pairwise(tokens))
    total = counts.total()
    found = {"prompts": float(len(continuations)), "tokens": float(total)}
    if continuations:
        found["identical_share"] = _identical(continuations, answers, right) / len(continuations)
    if total:
        found["distinct_1"] = len(counts) / total
        found["longest_run"] = float(max(longest_run(tokens) for tokens in continuations))
        found["top_token_share"] = max(counts.values()) / total
        found["entropy"] = -sum(n / total * math.log(n / total) for n in counts.values())
    if pairs:
        found["distinct_2"] = len(pairs) / pairs.total()
    return found


def longest_run(tokens: Tokens) -> int:
    """Length of the longest stretch of one token."""
    return max((len(list(run)) for _, run in groupby(tokens)), default=0)


def _identical(continuations: Sequence[Tokens], answers: Sequence[str], right: Sequence[bool]) -> int:
    """Prompts that are answered wrongly, and as one with another answer is."""
    answers_of: dict[tuple[int, ...], set[str]] = defaultdict(set)
    for tokens, answer in zip(continuations, answers, strict=True):
        answers_of[tuple(tokens)].add(answer)
    pairs = zip(continuations, right, strict=True)
    return sum(not correct and len(answers_of[tuple(tokens)]) > 1 for tokens, correct in pairs)
