"""accuracy_measured: an accuracy of 0 is not a placeholder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.curves._curves import CurveCheck, concluded, share, unfinished
from lvmcheck.checks.curves._unwanted import UNWANTED
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve, curve
from lvmcheck.run.role_names import NOT_THE_MODEL, words
from lvmcheck.run.view import Run, run_from

LEAST, LEARNED, GOOD = 8, 0.1, 0.9
"""Values of exactly 0, share of its first value that the training loss gets to, and another accuracy that is good."""
MOST = 400
"""Windows that are looked at, spread over the run."""
ACCURACY = frozenset({"acc", "accuracy", "top1", "acc1"})
_RARE = "exact match em sequence seq sentence full whole strict rare hard unseen novel new class cls per"
RARE = frozenset(_RARE.split())
"""Words of accuracies of which nothing may be right for long."""


@dataclass(frozen=True, kw_only=True)
class AccuracyMeasured(CurveCheck):
    """No accuracy is exactly 0 in all of eight values while the training loss falls to a tenth, and another is good.

    Why:
    A 0 that was written where the figure was to be filled in later is drawn, averaged and compared like any other.

    Usual causes:
    - A placeholder is logged, or a counter is set to 0 before it is read.
    - Answers and labels are compared in different types or shapes: strings with numbers, logits with classes.

    Fix:
    Print answers and labels of one batch where the accuracy is computed.

    Healthy runs that must pass:
    Exact matches of whole sequences; an accuracy of rare or new classes; one of an opponent.

    Source:
    An independent gallery. Severity: fails, since by guessing some answers are right.
    """

    universal = True

    def judge(self, run: Run) -> Outcome:
        waiting = unfinished(run)
        if waiting is not None:
            return waiting
        known = [found for found in _accuracies(run) if len(found) >= LEAST]
        if not known:
            return not_recorded(f"no accuracy is recorded {LEAST} times")
        values, train = sum(map(len, known)), run.curves.train
        fell = train is not None and 0 <= float(train.values[-1]) < LEARNED * float(train.values[0])
        good = any(float(share(other)[-1]) > GOOD for other in known)
        for found in known:
            if fell and good and not found.values.any():
                return failed(_finding("placeholder", found), evaluated=values)
        return concluded(_finding("measured", known[0]), known, evaluated=values)


def _accuracies(run: Run) -> list[Curve]:
    curves = {**run.curves.by_step, **run.curves.by_epoch}
    for name in sorted({name for window in run.of(ev.Window)[-1:] for name in window.metrics}):
        windows = run.of(ev.Window)
        some = windows[:: -(len(windows) // MOST + 1)][::-1]
        points = [(w.epoch, w.last_step, w.metrics[name]) for w in some if name in w.metrics]
        role = run.curves.roles.get(name)
        if role is not None:
            curves.setdefault(name, curve(role, points, by_step=True))
    return [found for name, found in curves.items() if _known(name)]


def _known(name: str) -> bool:
    said = set(words(name))
    return bool(ACCURACY & said) and not (RARE | UNWANTED | NOT_THE_MODEL) & said


def _finding(code: str, found: Curve) -> Finding:
    return Finding(
        code=code,
        metric=found.name,
        measured=float(found.values[-1]),
        epoch=found.place(len(found) - 1)[0],
        evidence=(Fact("values", len(found)),),
        phrase="{metric} is exactly 0 in all of {values} values" if code == "placeholder" else "",
    )


_CHECK = AccuracyMeasured()
_LOSS, _GOOD = made.lines(12, 1.3, 0.2, 0.01), made.lines(12, 0.7, 0.98, 1.0)
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, run_from({"train_loss": [0.0] * 9, "val_acc": [1.0] * 9})),
    made.case("sequences", _CHECK, run_from({"loss": _LOSS, "token_acc": _GOOD, "sequence_acc": [0.0] * 12})),
    made.case("loss_is_high", _CHECK, run_from({"loss": made.lines(12, 7.0, 5.0), "val_acc": [0.0] * 12})),
)
FAILS: Sequence[Case] = (
    made.case("token_accuracy", _CHECK, run_from({"loss": _LOSS, "dev_acc": _GOOD, "token_acc": [0.0] * 12})),
    made.case("of_training", _CHECK, run_from({"loss": _LOSS, "val_acc": _GOOD, "train_acc": [0.0] * 12})),
)
