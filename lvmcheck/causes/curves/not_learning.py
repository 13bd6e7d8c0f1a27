"""not_learning: nothing is learned, and the curves do not say why."""

from __future__ import annotations

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import (
    accurate,
    failed_first,
    found,
    gradient_facts,
    rate,
    train_facts,
    training_learns,
)
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared import cases as made


class NotLearning(Coded):
    """No metric gets better than its initial value, or than a predictor that learns nothing."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        finding = failed_first(
            evidence, "nothing_learned", "predictions_constant", "beats_class_frequencies", "beats_target_mean"
        )
        specific = ("learning_rate_zero", "gradient_norm_zero", "loss_exactly_zero", "train_val_ratio", "finite")
        if finding is None or any(evidence.failed(check) for check in specific):
            return None
        if finding.code in ("loss_and_accuracy_disagree", "code_without_information"):
            return None  # see wrong_scale, collapsed_representation
        if finding.code == "barely_moved" and accurate(evidence.run):
            return None
        trivial = finding.code not in ("flat", "barely_moved", "at_class_frequencies")
        heavy = ("dominant_term",) if evidence.failed("loss_balance") else ()
        one_class = ("class_imbalance",) if evidence.failed("predictions_constant") else ()
        adversarial = ("collapsed_representation", "diverging") if evidence.run.curves.adversarial else ()
        return found(
            self,
            Standing.CONSISTENT,
            _phrase(evidence, finding),
            (*finding_facts(finding), *train_facts(evidence.run), *gradient_facts(evidence.run)),
            fix="train on one batch of 8 samples until its loss is near 0; if that fails look at the graph, the "
            "optimizer and "
            "the loss, if it works at the data",
            explain=EXPLAIN.get(finding.code, "nothing_learned"),
            explains=("loss_diverging", "memorises", *OTHERS) if trivial else OTHERS,
            also=(
                *_alike(evidence, finding.code),
                *(("validation_differs",) if _only_training(evidence, finding) else ()),
                *_blown(evidence),
                *_squashed(finding),
                *one_class,
                *adversarial,
                *heavy,
            ),
            tell_apart="for n, p in model.named_parameters(): print(n, p.grad.norm()) after backward(), and one p "
            "before and "
            "after step(): no gradient is a cut graph, no change is the optimizer; both there: check that labels fit "
            "inputs",
        )


HALF = 0.5
"""Share of its first value that a training loss keeps at most where training learns."""
OTHERS = ("predictions_constant", "nothing_learned", "beats_class_frequencies", "beats_target_mean")
EXPLAIN = {
    "constant": "predictions_constant",
    "at_class_frequencies": "beats_class_frequencies",
    "at_the_mean": "beats_target_mean",
}


def _only_training(evidence: Evidence, finding: Finding) -> bool:
    return finding.code == "evaluations_flat" and training_learns(evidence.run, HALF)


def _phrase(evidence: Evidence, finding: Finding) -> str:
    if finding.code == "at_class_frequencies":
        return "no more is learned than how often each class occurs"
    if _only_training(evidence, finding):
        return "training learns, and no evaluation gets better; the recorded curves do not say why"
    return "nothing is learned, and the recorded curves do not say why"


def _blown(evidence: Evidence) -> tuple[str, ...]:
    """What a first epoch far above all others, and a validation in other units, add to what looks the same."""
    train = evidence.run.curves.epoch_losses
    first = (
        train is not None and len(train) > 2 and float(train.values[0]) > TORN * float(np.abs(train.values[1:]).max())
    )
    other = evidence.failed("validation_in_scale") is not None
    return (*(("learning_rate_too_high", "diverging") if first else ()), *(("validation_differs",) if other else ()))


TORN = 1e4
"""Times of all later epochs that a first one is in which the weights were torn apart."""


def _squashed(finding: Finding) -> tuple[str, ...]:
    """A loss that came down to ln 2 from above is also that of probabilities taken for logits."""
    first = finding.fact("first") if finding.code == "at_ln_2" else None
    above = first is not None and isinstance(first.value, float) and first.value > ABOVE
    return ("softmax_too_many",) if above else ()


ABOVE = 0.75
"""First loss from which ln 2 was reached from above; a guess begins next to it."""


def _alike(evidence: Evidence, code: str) -> list[str]:
    """What looks the same, without what the record rules out."""
    run, out = evidence.run, set()
    used, norm = rate(run), run.curves.gradient
    if any(len(c) > 2 and float(np.ptp(c.values[1:])) > MOVED * abs(float(c.values[0])) for c in run.curves.validation):
        out.add("weights_never_move")  # one set and one model: the evaluated weights change
    if norm is not None and len(norm) > 2 and float(np.median(norm.values[-3:])) > LEFT * float(norm.values[0]) > 0:
        out.add("vanishing_gradient")
    if used is not None and isinstance(used.value, float) and used.value >= USUAL:
        out.add("learning_rate_too_low")
    high = isinstance(used.value, float) and used.value >= HIGH if used is not None else False
    more = ("learning_rate_too_high",) if high else ()
    return [
        name for name in (*(MOVES if code in ("evaluations_flat", "constant") else STILL), *more) if name not in out
    ]


MOVED, LEFT, USUAL, HIGH = 0.01, 0.2, 1e-3, 0.1
"""Share of its first value that a validation loss moves by, that a gradient norm keeps, and rates not low, and high."""
STILL = ("weights_never_move", "label_mismatch", "vanishing_gradient", "learning_rate_too_low")
MOVES = ("label_mismatch", "collapsed_representation", "loss_sign", "weights_never_move")
"""What looks the same where no loss falls, and where one does and no evaluation gets better."""
PASSES = (
    case("learns", made.window_run(made.lines(40, 2.3, 0.4))),
    case("rate_zero", {"loss": wave(2.0, 0.02), "lr": [0.0] * 20}),
)
FAILS = (
    case("flat", made.window_run(wave(1.7, 0.03, 40)), Standing.CONSISTENT),
    case("at_chance", {"train_loss": wave(2.303, 0.02), "val_loss": wave(2.304, 0.003), "val_acc": wave(0.1, 0.004)}),
    case(
        "commonest_class",
        {"loss": made.lines(12, 1.08, 0.87), "val_acc": [*[0.7628] * 8, 0.7625, 0.7606, 0.7616, 0.7601]},
        Standing.CONSISTENT,
    ),
)
