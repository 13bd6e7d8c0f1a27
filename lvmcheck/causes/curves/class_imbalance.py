"""class_imbalance: the commonest class is always predicted."""

from __future__ import annotations

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import coded, failed_first, found, training_learns
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._at_rest import LEAST_SHARE, fell
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.curves._curves import improved, share
from lvmcheck.checks.curves.metric_constant import GAINED
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.view import run_from


class ClassImbalance(Cause):
    """Accuracy is that of the commonest class, and does not move while the loss does."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        majority = coded(evidence, "nothing_learned", "at_majority")
        never = _never_found(evidence)
        if never is not None and majority is None:
            return self._never(never)
        finding = majority or _counted(evidence) or _never_the_rare_class(evidence)
        if finding is None:
            return None
        return found(
            self,
            Standing.LIKELY,
            "the commonest class is always predicted: {metric} stays at {share}",
            (Fact("metric", finding.metric), Fact("share", finding.measured), *finding_facts(finding)[1:]),
            fix="weight the classes or sample them evenly, and judge by balanced accuracy or F1",
            explain="nothing_learned" if majority else "metric_constant",
            explains=("metric_constant", "nothing_learned", "memorises"),
            also=("metric_constant",),
            tell_apart="print(torch.bincount(predictions)) of the validation set: one class only is the imbalance",
        )

    def _never(self, finding: Finding) -> Diagnosis:
        return found(
            self,
            Standing.CONSISTENT,
            "{metric} is 0 throughout: the rarer class may never be predicted",
            (Fact("metric", finding.metric), *finding_facts(finding)[1:]),
            fix="weight the rarer class up, not down (pos_weight = negatives / positives), or choose the threshold by "
            "the validation set",
            explain="metric_constant",
            explains=(),
            also=("metric_constant", "label_mismatch"),
            tell_apart="print(torch.bincount(predictions)) of the validation set: one class only is the imbalance",
        )


def _never_found(evidence: Evidence) -> Finding | None:
    finding = coded(evidence, "metric_constant", "zero_throughout")
    return finding if finding is not None and RARE & set(words(str(finding.metric))) else None


def _counted(evidence: Evidence) -> Finding | None:
    """An accuracy that never moves beside a validation loss that does."""
    finding = coded(evidence, "metric_constant", "constant")
    role = evidence.run.curves.roles.get(str(finding.metric)) if finding is not None else None
    if finding is None or role is None or role.quantity is not Quantity.ACCURACY:
        return None
    if finding.number < LEAST_SHARE:
        return None  # no class is the commonest with so few rows, see metric_computed_wrong
    validation = evidence.run.curves.validation
    partner = evidence.run.curves.partner(next(c for c in evidence.run.curves.scores if c.name == finding.metric))
    alike = (
        partner is not None and partner.role.quantity is role.quantity and float(np.ptp(partner.values)) <= SAME_ANSWER
    )
    if any(fell(loss) for loss in validation) and not alike:
        return None  # the predictions do move, see metric_constant
    moves = any(improved(loss) for loss in validation) or training_learns(evidence.run)
    return finding if moves else None


def _never_the_rare_class(evidence: Evidence) -> Finding | None:
    """A failure beside a recall or an F1 that is 0 in every evaluation, and an accuracy that is not."""
    curves = evidence.run.curves
    scores = [c for c in curves.scores if RARE & set(words(c.name)) and len(c) >= 4 and not c.values.any()]
    plain = [c for c in curves.of(Quantity.ACCURACY) if not RARE & set(words(c.name))]
    if any(float(share(c)[-1] - share(c)[0]) > GAINED for c in plain):
        return None  # the predictions do move
    good = [c for c in plain if float(share(c)[-1]) > 0.5]
    return failed_first(evidence, "memorises", "metric_constant", "nothing_learned") if scores and good else None


SAME_ANSWER = 0.005
"""Share by which an accuracy in training moves where every answer is one class."""
RARE = frozenset({"recall", "sensitivity", "f1", "precision"})


_LOSSES = {"train_loss": made.lines(12, 0.6, 0.3), "val_loss": wave(0.33, 0.02, 12)}
PASSES = (
    case("learns", {**_LOSSES, "val_acc": made.lines(12, 0.9, 0.97)}),
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
)
FAILS = (
    case(
        "weight_upside_down",
        made.window_run(made.lines(20, 0.09, 0.013)).extended(
            run_from({"train_loss": made.lines(6, 0.045, 0.014), "val_f1": [0.0] * 6}).events
        ),
        Standing.CONSISTENT,
    ),
    case(
        "weights_of_one_class",
        {
            "train_loss": [0.42, *made.lines(9, 0.01, 0.002)],
            "train_acc": [0.1071, *[0.1043] * 9],
            "val_loss": made.lines(10, 11.9, 5.8),
            "val_acc": [0.094] * 10,
        },
    ),
    case("one_class", {**_LOSSES, "val_balanced_accuracy": [0.5] * 12}, Standing.LIKELY),
    case(
        "majority_stated",
        made.with_facts(run_from({**_LOSSES, "val_acc": [0.9, 0.899, 0.9] * 4}), {"majority_share": 0.9}),
    ),
)
