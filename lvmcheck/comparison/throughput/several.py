"""Several stored sessions as one, whose spread holds what sessions of the same code differ by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from lvmcheck.comparison.throughput.result import Result, different
from lvmcheck.comparison.throughput.stored import Stored
from lvmcheck.errors import InputError


def together(documents: Sequence[Stored]) -> Stored:
    """One document of at least one: each benchmark by all documents that have it, the machine of the first.

    Raises:
        InputError: two documents hold one benchmark of different devices, kernels or settings.
    """
    first = documents[0]
    if len(documents) == 1:
        return first
    found: dict[str, list[Result]] = {}
    for document in documents:
        for name, result in document.results.items():
            known = found.setdefault(name, [])
            why = different(result, known[0]) if known else ""
            if why:
                raise InputError(document.path, f"does not measure what {first.path} does ({why})", key=name)
            known.append(result)
    bare = {name for document in documents for name in document.uncalibrated} - set(found)
    return replace(
        first, results={name: median_of(results) for name, results in found.items()}, uncalibrated=tuple(sorted(bare))
    )


def median_of(results: Sequence[Result]) -> Result:
    """The median result; its spread is the median spread and half the range of the medians, in quadrature."""
    medians = [result.relative for result in results]
    between = math.log(max(medians) / min(medians)) / 2
    factor = math.exp(math.hypot(statistics.median(result.spread for result in results), between))
    middle = statistics.median(medians)
    return replace(results[0], relative=middle, low=middle / factor, high=middle * factor)
