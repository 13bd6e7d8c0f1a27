"""update_size: updates are neither tiny nor huge beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.bounds import band
from lvmcheck.checks.finding import Fact, Finding, Outcome
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.checks.watch._watched import Cases, Watched, case_run, names, unless_it_learned
from lvmcheck.run.events import Epoch, Watch
from lvmcheck.run.view import Run

LOW, HIGH, MUCH = 1e-7, 0.1, 0.3
RATE = 0.1
"""Share of the highest learning rate so far, below which a step does not count."""


@dataclass(frozen=True, kw_only=True)
class UpdateSize(Watched):
    """The middle ratio of update to weight over all weight matrices does not lie outside 1e-7 to 0.1 in ten measured
    steps in a row. From 0.1 to 0.3 it fails only where the run ends and neither its training loss nor an evaluation got
    better.

    Why:
    About 1e-3 is usual. Far above, every step forgets what the ones before learned; far below, a run of this length
    changes nothing.

    Usual causes:
    - The learning rate is ten or a hundred times too high or too low.
    - Weights began too small or too large for the rate.
    - The epsilon of Adam dominates gradients that are too small.

    Fix:
    Change the learning rate by the factor that brings the ratio near 1e-3; look at the scale of the loss where it is
    tiny.

    Healthy runs that must pass:
    Warm-up, and the end of a schedule (steps below a tenth of the highest rate do not count); layers that begin at
    zero; fine-tuning at 1e-5.
    """

    exempt: ClassVar = {"nan": LEVELS["nan"]}
    event = "update_ratio"
    streak = 10

    def judge(self, run: Run) -> Outcome:
        outcome = super().judge(run)
        large = outcome.finding is not None and outcome.finding.code == "too_large"
        return unless_it_learned(outcome, run, MUCH) if large else outcome

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("share_of_rate", 1.0) < RATE:
            return None
        median = of.get("median", float("nan"))
        if median > HIGH and "sized" in of and of["sized"] == 0:
            return None  # weights that began small are expected to grow
        return Finding(
            code="too_small" if median < LOW else "too_large",
            measured=median,
            bounds=band(LOW, HIGH),
            evidence=(Fact("lowest", of.get("lowest")), Fact("highest", of.get("highest")), *names(event)),
            phrase="updates are {measured} of the weights",
        )


def _learning(run: Run) -> Run:
    """The same run with a validation loss that falls."""
    epochs = tuple(Epoch(epoch=1 + i, step=20 + i, metrics={"val_loss": 2.0 - 0.1 * i}) for i in range(12))
    return Run(events=(*run.events, *epochs), info=run.info, done=run.done)


_CHECK = UpdateSize()
_case = Cases(_CHECK)
_SAMPLE = {"median": 1e-3, "lowest": 1e-4, "highest": 5e-3, "share_of_rate": 1.0}
PASSES = (
    _case("perfect_oracle", [_SAMPLE] * 10),
    _case("embeddings_that_began_small", [{**_SAMPLE, "median": 0.6, "sized": 0.0}] * 10 + [{**_SAMPLE, "sized": 0.0}]),
    made.case("adam_on_a_small_net", _CHECK, _learning(case_run("update_ratio", [{**_SAMPLE, "median": 0.11}] * 10))),
    _case("end_of_a_cosine", [_SAMPLE] + [{**_SAMPLE, "median": 1e-9, "share_of_rate": 1e-4}] * 12),
)
FAILS = (
    _case("rate_x1000", [{**_SAMPLE, "median": 0.9}] * 10, "too_large", 0.9, step=10),
    _case("large_and_nothing_learned", [{**_SAMPLE, "median": 0.11}] * 10),
    _case("rate_tiny", [{**_SAMPLE, "median": 1e-9}] * 10, "too_small", 1e-9),
    _case("not_a_number", [{**_SAMPLE, "median": float("nan")}] * 10),
)
