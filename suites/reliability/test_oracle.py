"""Random histories are judged as a second judge judges them, which was written from the manual alone.

``LVM_RELIABILITY=full`` judges 200,000; ``python -m suites.reliability.test_oracle 200000`` counts the answers.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import Check, judge, load_check
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from suites.reliability.oracle import FAILED, OPEN, PASSED, History, Question, answer, history, question

COUNT = 200_000 if os.environ.get("LVM_RELIABILITY") == "full" else 400
WORD = {Status.PASSED: PASSED, Status.FAILED: FAILED}


def run_of(seen: History) -> Run:
    events: list[ev.Event] = [ev.Begin()]
    for epoch, value in enumerate(seen.values, start=1):
        for step in (2 * epoch - 1, 2 * epoch):
            loss = seen.losses[step - 1]
            window = ev.Window(
                epoch=epoch, first_step=step, last_step=step, loss_mean=loss, loss_min=loss, loss_max=loss
            )
            events.append(window)
        metrics = {"train_loss": 0.5 / epoch} | ({} if value is None else {"val_cosine": value, "figure": value})
        events.append(ev.Epoch(epoch=epoch, step=2 * epoch, metrics=metrics))
    whole = len(seen.values) == seen.planned
    done = {"status": "finished" if whole else "stopped", "reason": "a test"} if seen.ended else None
    return Run(events=tuple(events), info={"config": {"epochs": seen.planned}}, done=done)


def check_of(asked: Question) -> Check:
    return load_check(asked.check)(**asked.keys)


def compared(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """The answers that the oracle gave, and where lvmcheck gave another."""
    chance, counts, wrong = random.Random(seed), Counter[str](), []
    for number in range(count):
        seen = history(chance)
        asked = question(chance, seen.planned)
        expected = answer(asked, seen)
        outcome = judge(check_of(asked), run_of(seen))
        got = WORD.get(outcome.status, OPEN)
        counts[f"{asked.check} {expected or 'either'}"] += 1
        if expected is not None and got != expected:
            wrong.append(
                f"{number}: {asked} on {seen}: expected {expected}, got {outcome.status.value} {outcome.reason}"
            )
    return counts, wrong


def test_judged_like_the_oracle() -> None:
    counts, wrong = compared(COUNT, seed=14)
    assert wrong == []
    assert all(
        sum(n for name, n in counts.items() if name.endswith(word)) > COUNT // 20 for word in (PASSED, FAILED, OPEN)
    )


if __name__ == "__main__":
    found, differing = compared(int(sys.argv[1]), seed=14)
    sys.stdout.writelines(f"{n:8} {name}\n" for name, n in sorted(found.items()))
    sys.stdout.write(f"{sum(found.values())} histories, {len(differing)} judged otherwise\n")
    sys.stdout.writelines(f"{line}\n" for line in differing[:20])
