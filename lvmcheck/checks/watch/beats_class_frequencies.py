"""beats_class_frequencies: a cross entropy gets below what the frequencies of the classes alone give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, not_recorded, pending
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._levels import beside_recorded, recorded_level
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run, run_from

STEPS, ROWS = 200, 2000
"""Optimizer steps and rows from which it is judged."""
ALIKE, FALLS = 0.1, 0.01
"""How near the recorded loss is to the measured one, and share of the entropy that it falls by in a quarter."""
MANY, BETTER = 20, 0.98
"""Classes of a vocabulary, of which neighbours always tell something, and share of the entropy that they leave."""


@dataclass(frozen=True, kw_only=True)
class BeatsClassFrequencies(Watched):
    """After 200 steps the recorded loss, where it is a plain cross entropy and no longer falls, is below the entropy of
    its targets' frequencies (with 20 classes or more, such as tokens, 2 % below), or a validation loss is.

    Why:
    A language model falls from ln of its vocabulary to the entropy of single tokens without having read a word of
    context, and the curve looks like learning.

    Usual causes:
    - Targets are those of other rows, or shuffled; inputs are constant or cut off.
    - The learning rate is so low or so high that only the biases of the last layer learn.

    Fix:
    Overfit one batch of 8 rows. Where that works, print five inputs beside their targets.

    Healthy runs that must pass:
    Tasks with a weak signal, of few classes; class weights and smoothed labels; a model with much dropout, which is
    better in evaluation; a run that still falls.

    Source:
    Cover and Thomas, Elements of Information Theory: no constant answer has a lower mean log loss than the entropy.
    """

    event = "class_frequencies"

    def look(self, event: Watch) -> Finding | None:  # noqa: ARG002
        return None  # it needs the recorded loss, see decide_on

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        if not run.over:
            return pending("the end of the run")
        found = _against(run, events[-1]) if events else None
        if found is None:
            return not_recorded(
                f"no plain cross entropy beside its recorded loss that no longer falls, in {STEPS} steps"
            )
        limit = found.bounds[0].value
        assert isinstance(limit, float)
        return beside_recorded(run, events, found, limit)


def _against(run: Run, event: Watch) -> Finding | None:
    """The recorded training loss of the last quarter of the steps beside the entropy of its targets' frequencies."""
    of, level = event.values, recorded_level(run)
    entropy, seen = of.get("entropy", math.nan), of.get("loss", math.nan)
    if level is None or run.step < STEPS or of.get("rows", math.nan) < ROWS or entropy <= 0:
        return None
    loss, earlier, error = level
    if abs(seen - loss) > ALIKE * abs(loss) or earlier - loss > FALLS * entropy:
        return None  # another measure, or it still falls
    limit = BETTER * entropy if of.get("classes", 0.0) >= MANY else entropy + 2 * error
    return Finding(
        code="at_class_frequencies",
        measured=math.nan if any(map(math.isnan, of.values())) else loss,
        unit="nats",
        bounds=(ceiling(limit, "entropy of the classes"),),
        step=run.step,
        evidence=(Fact("entropy", entropy, "nats"), Fact("rows", of.get("rows")), Fact("classes", of.get("classes"))),
        phrase="loss {measured} at last; the frequencies of {classes} classes alone give {entropy}",
    )


_case = made.Cases(BeatsClassFrequencies())
_TOKENS = {"entropy": 3.04, "rows": 40000.0, "classes": 99.0}
_ROWS = {"entropy": 2.3, "rows": 9000.0, "classes": 10.0}


def _run(values: Mapping[str, float], losses: Sequence[float], **curves: list[float]) -> Run:
    """A run of 20 windows of 20 steps that end at the last of these losses."""
    said = case_run("class_frequencies", [{"loss": losses[-1], **values}])
    windows = made.window_run(made.lines(20, *losses), steps=20, per_epoch=20)
    return windows.extended([*said.events, *(run_from(curves).events if curves else ())])


PASSES = (
    _case("perfect_oracle", _run(_TOKENS, [4.6, 0.1, 0.1])),
    _case("bigrams", _run(_TOKENS, [4.6, 2.32, 2.3])),
    _case("weak_signal", _run(_ROWS, [2.31, 2.29, 2.29])),
    _case("dropout", _run(_ROWS, [2.4, 2.32, 2.32], val_loss=[2.2, 1.9, 1.8])),
)
FAILS = (
    _case("frequencies_alone", _run(_TOKENS, [4.6, 3.04, 3.03]), "at_class_frequencies"),
    _case("tiny_rate", _run(_TOKENS, [4.8, 4.76]), "at_class_frequencies", entropy=3.04),
    _case("other_labels", _run(_ROWS, [2.4, 2.32, 2.32], val_loss=[2.33, 2.32, 2.33]), entropy=2.3),
    _case("not_a_number", _run({**_TOKENS, "loss": math.nan}, [4.6, 3.04, 3.03])),
)
