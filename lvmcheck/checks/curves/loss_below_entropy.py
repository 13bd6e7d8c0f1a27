"""loss_below_entropy: no model is better than its data allow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.curves._curves import CurveCheck, accuracies, concluded, found_at, number, share, vocabulary
from lvmcheck.checks.curves._trivial import PARTS
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run, run_from

NATURAL = 0.15
"""Nats per token: less than any natural text; 0.3 is what a very good model needs of a sign of it."""
SHARE = 0.05
"""Share of the unigram entropy below which the answer was in the input."""
TOLERANCE = 0.1
"""Part of the known entropy of generated text that a measured loss may lie below it."""
PERFECT = 4
"""Evaluations with every answer right, from the first on, from which a task is suspiciously easy."""


SIGNS, SOLVED, SOON = 28, 0.1, 1000
"""Vocabulary of a text, nats per token below which it is solved, and steps within which no model does that."""
EARLY = 0.2
"""Nats per token that no model reaches within those steps."""
ALPHABET, UNIFORM = 3.9, 12.0
"""First losses between which they say the size of a vocabulary: sums, copies and the like need fewer signs."""
FRESH = 0.4
"""First training loss of a model that was not trained before."""


@dataclass(frozen=True, kw_only=True)
class LossBelowEntropy(CurveCheck):
    """The validation loss of a language model is not below the entropy of its text; no task is perfect at once.

    Where facts state it the run fails: below 0.9 of loss_floor (entropy of generated text), below a twentieth of
    unigram_entropy. Where a perplexity or a vocabulary is recorded, a validation loss below 0.15 nats warns, since only
    generated text allows it (below 0.2 of 28 or more signs within 1,000 steps), and fails below 0.1 of 28 or more signs
    where 0.15 was reached within 1,000 steps; a vocabulary that is not stated is taken from the loss of the first step,
    from 50 signs on, where no accuracy is recorded. A validation accuracy of 1 in every one of four or more evaluations
    warns; of eight it fails where the training loss, above 0.4 at first, was not halved by the first.

    Why:
    Text has information in it that nobody can predict. A loss of 0.004 nats on natural text was reported as
    "exceptional convergence"; the labels were not shifted.

    Usual causes:
    - Labels are not shifted, so that the model copies the token that it sees.
    - There is no causal mask, or padding is scored.
    - Validation samples are in the training set, or both views of a pair are the same.

    Fix:
    Compute the loss by hand from logits[:, :-1] and tokens[:, 1:]; change one later token and see whether earlier
    logits change; generate: a model that copies its labels writes gibberish.

    Healthy runs that must pass:
    Generated text (sums, copies) that can be learned to the last token, where its loss_floor is stated; classifiers; a
    recall of 1 of a rare class.

    Source:
    facts E3. Severity: fails where the entropy is known, warns where it is not.
    """

    def judge_ended(self, run: Run) -> Outcome:
        known = list(_bounds(run))
        perfect = next((c for c in _correct(run, Split.VALIDATION) if len(c) and bool((share(c) == 1).all())), None)
        if not known and perfect is None:
            return not_recorded("neither a language model nor the entropy of its data is recorded")
        compared = 0
        for curve, low, source, sure in known:
            compared += len(curve)
            finding = _finding(curve, low, source)
            if finding.number >= low:
                continue
            if sure:
                return failed(finding, evaluated=compared)
            guessed = replace(finding, code="below_natural_text")
            return (failed if _too_soon(run, curve) else warning)(guessed, evaluated=compared)
        if perfect is not None and len(perfect) >= PERFECT:
            certain = _solved_by_a_fresh_model(run, perfect)
            return (failed if certain else warning)(_perfect(perfect), evaluated=compared + len(perfect))
        if not known:
            return not_applicable(f"fewer than {PERFECT} evaluations")
        curve, low, source, _ = known[0]
        return concluded(_finding(curve, low, source), [item[0] for item in known], evaluated=compared)


def _bounds(run: Run) -> Iterator[tuple[Curve, float, str, bool]]:
    """Curve, lowest loss that can be believed, where it comes from, and whether it is known."""
    unigram, entropy = number(run, "unigram_entropy"), number(run, "loss_floor", "entropy")
    for curve in run.curves.validation:
        if curve.role.quantity is not Quantity.LOSS:
            continue
        if entropy is not None:
            yield curve, (1 - TOLERANCE) * entropy, "entropy of the text", True
        elif unigram is not None:
            yield curve, SHARE * unigram, "unigram entropy", True
        elif _language(run):
            yield curve, _lowest(run, curve), "natural text", False
    if not run.curves.validation and _language(run):
        for curve in run.curves.of(Quantity.PERPLEXITY):
            yield curve, math.exp(NATURAL), "natural text", False


def _too_soon(run: Run, curve: Curve) -> bool:
    """Whether a text of many signs was solved within steps that teach a model little more than their frequencies."""
    size, at = _signs(run), int(curve.values.argmin())
    if curve.role.quantity is not Quantity.LOSS or size is None or size < SIGNS or float(curve.values[at]) >= SOLVED:
        return False
    low = np.flatnonzero(curve.values < NATURAL)
    steps = int(curve.steps[low[0]]) if len(low) else 0
    return 0 < steps <= SOON or (len(low) == len(curve) and len(curve) >= PERFECT)


def _signs(run: Run) -> float | None:
    """Size of the vocabulary, else of the one of which the first step's loss is that of a uniform guess."""
    stated, windows = vocabulary(run), run.curves.window_losses
    if stated is not None or windows is None:
        return stated
    first = float(windows.values[0])
    guessed = windows.steps[0] == 1 and ALPHABET < first < UNIFORM
    return math.exp(first) if guessed and not any(accuracies(run)) else None


def _lowest(run: Run, curve: Curve) -> float:
    """Nats that natural text needs: more of a model that began within the run and has seen little of it."""
    size, at = _signs(run), int(curve.values.argmin())
    return EARLY if size is not None and size >= SIGNS and 0 < int(curve.steps[at]) <= SOON else NATURAL


def _solved_by_a_fresh_model(run: Run, perfect: Curve) -> bool:
    """Whether every answer was right while the training loss was still that of a model that begins.

    An easy task is solved within an epoch, and its training loss has fallen by then.
    """
    windows = run.curves.window_losses
    if windows is None or len(windows) < 8 or len(perfect) < 2 * PERFECT:
        return False
    first, last = float(np.median(windows.values[:2])), float(np.median(windows.values[-3:]))
    before = windows.values[windows.epochs <= perfect.epochs[0]]
    fresh = len(before) > 0 and float(np.median(before[-3:])) > 0.5 * first
    return fresh and first > FRESH and last < 0.8 * first


def _correct(run: Run, split: Split) -> Iterator[Curve]:
    """Accuracies without those that a constant answer makes 1."""
    for curve in accuracies(run, split):
        if not PARTS & set(words(curve.name)):
            yield curve


def _language(run: Run) -> bool:
    return vocabulary(run) is not None or next(run.curves.of(Quantity.PERPLEXITY), None) is not None


def _finding(curve: Curve, low: float, source: str) -> Finding:
    at = int(curve.values.argmin())
    return found_at(
        curve,
        at,
        "below_entropy" if curve.values[at] < low else "above_entropy",
        unit="nats" if curve.role.quantity is Quantity.LOSS else "",
        bounds=(floor(low, source),),
    )


def _perfect(curve: Curve) -> Finding:
    return Finding(
        code="perfect_at_once",
        metric=curve.name,
        measured=float(curve.values[-1]),
        epoch=curve.place(0)[0],
        evidence=(Fact("evaluations", len(curve)),),
        phrase="{metric} is {measured} in all of {evaluations} evaluations",
    )


_case = made.Cases(LossBelowEntropy())
_LM = {
    "train_loss": made.lines(10, 3.4, 1.5),
    "eval_loss": made.lines(10, 3.3, 1.6),
    "perplexity": made.lines(10, 27, 5),
}
_COPIED = {**_LM, "eval_loss": made.lines(10, 0.5, 0.02, 0.004)}


def _early(run: Run, steps: int) -> Run:
    """The run with this many steps in each epoch."""
    events = [replace(e, step=steps * e.epoch) if isinstance(e, ev.Epoch) else e for e in run.events]
    return replace(run, events=tuple(events))


def _views() -> Run:
    windows = made.window_run(made.lines(40, 1.7, 0.7, 0.63), over=False)
    scores = run_from({"val_top1": [100.0] * 10})
    return replace(windows, events=(*windows.events, *scores.events), done=scores.done)


_SEEN = [4.1, 3.0, 2.4, *made.lines(37, 2.0, 0.2)]


def _read_backwards(low: float) -> Run:
    """A model of 60 signs that reads what comes next: steps one by one, four evaluations."""
    windows = made.window_run(_SEEN, steps=1, over=False)
    losses = zip((10, 20, 30, 40), (0.8, 0.34, 1.1 * low, low), strict=True)
    said = [ev.Log(epoch=i // 10, step=i, metrics={"val/loss": v, "val/ppl": math.exp(v)}) for i, v in losses]
    return replace(windows, events=(*windows.events, *said), done={"status": "finished"})


PASSES = (
    _case("perfect_oracle", made.with_facts(run_from({"val_loss": [0.62] * 4}), {"loss_floor": 0.62})),
    _case("language_model", _LM),
    _case("a_quarter_nat_soon", _read_backwards(0.25)),
    _case("below_unigram", made.with_facts(run_from(_LM), {"unigram_entropy": 2.9})),
)
FAILS = (
    _case("not_shifted", made.with_facts(run_from(_COPIED), {"unigram_entropy": 2.9}), "below_entropy"),
    _case(
        "sees_what_comes_next",
        _early(run_from({"val_loss": [0.12, 0.08, 0.06, 0.06]}, config={"vocab_size": 70}), 100),
        measured=0.06,
    ),
    _case("one_view_twice", _views()),
    _case("reads_backwards", _read_backwards(0.17), measured=0.17, status=Status.WARNING),
    _case("vocabulary_of_the_first_loss", _read_backwards(0.02), measured=0.02),
    _case(
        "below_what_is_known",
        made.with_facts(run_from({"val_loss": [1.4, 0.2]}), {"loss_floor": 0.62}),
        measured=0.2,
        epoch=2,
    ),
)
