"""metric_constant: a logged metric is one and the same number."""

from __future__ import annotations

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import coded, evaluation_moves, failed_first, found, train_facts, training_learns
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._at_rest import fell
from lvmcheck.checks.curves._curves import improved
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.statistics.curve import trend

HALTING = language.epochs([], [], metrics={"halting_mean": [7.5, 7.5]}, config={"model": {"recursion_steps": 4}})


class MetricConstant(Coded):
    """A metric never changes while training goes on: it is not measured, or measures what does not move."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        impossible, finite = coded(evidence, "plausible_range", "impossible"), evidence.failed("finite")
        if impossible is not None and finite is None:
            return found(
                self,
                Standing.MEASURED,
                "a metric has a value that it cannot have: a literal, a sum that is not divided or reset, or a unit",
                finding_facts(impossible),
                fix="search the code for the literal, reset counters in every epoch, and divide by the rows evaluated",
                explain="plausible_range",
                explains=(),
                also=("wrong_scale",),
                tell_apart="count the evaluated rows and the right ones of one epoch by hand",
            )
        finding = failed_first(evidence, "metric_constant", "val_loss_moves")
        if finding is None or finding.code not in CODES or evidence.failed("learning_rate_zero") or finite is not None:
            return None
        if finding.metric in TRAIN or _explained(evidence) or not _goes_on(evidence):
            return None
        empty = finding.measured == 0
        role = evidence.run.curves.roles.get(str(finding.metric))
        if role is not None and role.quantity is Quantity.REWARD:
            return _one_policy(self, evidence, finding)
        return found(
            self,
            Standing.LIKELY,
            "{metric} is one and the same number while training goes on",
            (Fact("metric", finding.metric), *finding_facts(finding), *train_facts(evidence.run)),
            fix="print the metric and one weight before and after a step; log nothing where nothing was measured",
            explain="metric_constant",
            explains=("val_loss_moves", "memorises", "nothing_learned", "overfits"),
            also=("loss_not_computed",) if empty else (*_unmoved(evidence, finding), *_one_answer(evidence, finding)),
            tell_apart="print(len(val_loader))"
            if empty
            else "print(id(model)) and one weight inside the evaluation, twice",
        )


def _unmoved(evidence: Evidence, finding: Finding) -> tuple[str, ...]:
    """What is evaluated may not move; it does where another figure of the same evaluations moves."""
    curves = evidence.run.curves
    moving = [
        c for c in (*curves.evaluations, *curves.scores) if c.name != finding.metric and float(np.ptp(c.values)) > 0
    ]
    own = curves.roles.get(str(finding.metric))
    beside = [c for c in moving if own is not None and c.role.group == own.group]  # another group is another model
    if own is not None and any(c.role.split is own.split is not Split.TRAIN for c in beside):
        return ()
    return ("weights_never_move", *(("copy_never_updated",) if any(len(c) > 2 for c in moving) else ()))


def _one_policy(cause: Cause, evidence: Evidence, finding: Finding) -> Diagnosis:
    """A reward that never changes is that of a policy that does not learn, or of one that is never updated."""
    return found(
        cause,
        Standing.CONSISTENT,
        "{metric} is one and the same number: the policy may do the same in every episode, or not be the trained one",
        (Fact("metric", finding.metric), *finding_facts(finding), *train_facts(evidence.run)),
        fix="print the actions of two evaluations and one weight of the policy that is evaluated",
        explain="metric_constant",
        explains=("nothing_learned", "loss_diverging"),
        also=("not_learning", "weights_never_move", "copy_never_updated", "label_mismatch"),
        tell_apart="print the actions of one episode with exploration: if its reward varies the policy does not learn",
    )


def _goes_on(evidence: Evidence) -> bool:
    """Whether the model changes: in training, or beside a training loss in evaluations."""
    run = evidence.run
    return training_learns(run) or (run.curves.train is not None and evaluation_moves(run))


CODES = ("constant", "constant_from_there")
TRAIN = ("train_loss", "loss")


def _explained(evidence: Evidence) -> bool:
    """Whether a rate of nothing, or a class that is always predicted, is why."""
    counted = coded(evidence, "metric_constant", "constant")
    if any(map(fell, evidence.run.curves.validation)):
        return False
    if (
        counted is not None
        and counted.measured == 1
        and _is_error(evidence, counted)
        and not training_learns(evidence.run)
    ):
        return True  # nothing is right in it
    worse = [loss for loss in evidence.run.curves.validation if loss.values[-1] > loss.values[0] > 0]
    if worse and counted is not None and counted.measured == 0:
        return True  # the evaluation moves, and nothing is right in it
    return evidence.failed("schedule_ended_early") is not None or (
        counted is not None
        and evidence.run.curves.roles[str(counted.metric)].quantity is Quantity.ACCURACY
        and (any(map(improved, evidence.run.curves.validation)) or training_learns(evidence.run))
        and any(len(set(loss.values.tolist())) > 1 for loss in evidence.run.curves.validation)
    )


def _is_error(evidence: Evidence, finding: Finding) -> bool:
    role = evidence.run.curves.roles.get(str(finding.metric))
    return role is not None and role.quantity is Quantity.ERROR


def _one_answer(evidence: Evidence, finding: Finding) -> tuple[str, ...]:
    """What looks the same where a model that learns no more gives one answer to every input."""
    role, train = evidence.run.curves.roles.get(str(finding.metric)), evidence.run.curves.train
    if role is None or role.quantity not in (Quantity.ACCURACY, Quantity.ERROR) or train is None:
        return ()
    late = train.values[len(train) // 2 :]
    if any(map(fell, evidence.run.curves.validation)):
        return ()
    return () if len(late) < 8 or abs(trend(late)) > 3 else ("not_learning", "label_mismatch")


_TRAIN = made.lines(10, 2.3, 0.4)
PASSES = (
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    case("rounded_plateau", {"val_loss": [2.51, 2.4, 2.4, 2.39], "train_loss": [3, 2, 1.5, 1]}),
    case("not_a_number", {"val_loss": [2.5, float("nan")], "exact_match": [0.1, float("nan")]}),
)
FAILS = (
    case(
        "the_literal_2.5",
        {"train_loss": made.COGNATE_TRAIN_LOSS, "val_loss": [2.5] * 10},
        Standing.LIKELY,
        val_loss=2.5,
    ),
    case("halting_7.5_of_4", HALTING, halting_mean=7.5),
)
