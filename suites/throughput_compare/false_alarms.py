"""How often stored sessions of the same code would alarm against each other, and how often 1.8 times would be seen.

    python -m suites.throughput_compare.false_alarms now1.json now2.json ...

Each draw takes some documents as stored and others as the session with what it would measure again. Those come from
other sessions here, and from the same process there: read the figures of "twice again" as the best case.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lvmcheck.comparison.throughput.comparison import Change, RatioComparison, compare
from lvmcheck.comparison.throughput.result import Result
from lvmcheck.comparison.throughput.several import together
from lvmcheck.comparison.throughput.stored import Stored, read
from lvmcheck.errors import InputError

DRAWS = 1000
LOSS = 1.8
STORED, AGAIN = (1, 3, 5), (0, 2)


def change(measured: Sequence[Result], then: Result) -> RatioComparison:
    """What a session says that measures the first, and the next as long as it fails."""
    best = measured[0]
    for further in measured[1:]:
        if not compare(best, then).failing:
            break
        best = min(best, further, key=lambda each: each.high)
    return compare(best, then)


def slower(result: Result, times: float) -> Result:
    """The same with every duration so many times as long."""
    return replace(result, relative=times * result.relative, low=times * result.low, high=times * result.high)


def drawn(documents: Sequence[Stored], stored: int, again: int, draws: int = DRAWS) -> tuple[Counter[str], int]:
    """Changes over all draws, "seen" for losses that were, and the number of sessions with a benchmark that alarms."""
    choose, counts, alarmed = random.Random(0), Counter[str](), 0
    for _ in range(draws):
        chosen = choose.sample(documents, stored + 1 + again)
        then, now = together(chosen[:stored]).results, chosen[stored:]
        names = [name for name in then if all(name in each.results for each in now)]
        found = [change([each.results[name] for each in now], then[name]).change for name in names]
        lost = (change([slower(each.results[name], LOSS) for each in now], then[name]).change for name in names)
        counts.update(each.value for each in found)
        counts["seen"] += sum(each is Change.SLOWER for each in lost)
        alarmed += Change.SLOWER in found
    return counts, alarmed


def lines(documents: Sequence[Stored], draws: int = DRAWS) -> Iterator[str]:
    """A row for each number of stored sessions and of further measurements that there are documents for."""
    yield f"| stored | again | slower | too noisy | {LOSS:g} times seen | sessions with an alarm |"
    yield "|---|---|---|---|---|---|"
    for stored in STORED:
        for again in AGAIN:
            if stored + 1 + again <= len(documents):
                counts, alarmed = drawn(documents, stored, again, draws)
                total = sum(counts[each.value] for each in Change)
                parts = (counts[name] / total for name in (Change.SLOWER.value, Change.UNCOMPARED.value, "seen"))
                cells = [f"{100 * part:.2f} %" for part in (*parts, alarmed / draws)]
                yield f"| {stored} | {again} | {' | '.join(cells)} |"


def main(names: Sequence[str]) -> int:
    try:
        documents = [read(Path(name)) for name in names]
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 2
    if len(documents) < 2:
        print("expected at least two documents of --benchmark-json", file=sys.stderr)
        return 2
    loads = [load for each in documents if isinstance(load := each.machine.get("load_average"), float)]
    busy = f", load {min(loads):.1f} to {max(loads):.1f}" if loads else ""
    print(f"{len(documents)} sessions of {len(documents[0].results)} benchmarks{busy}")
    print("\n".join(lines(documents)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
