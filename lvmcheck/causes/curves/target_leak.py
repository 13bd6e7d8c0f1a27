"""target_leak: the answer is in the input."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import coded, failed_first, found
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.causes.watch._measured import Rule, preflight_finding, preflight_run
from lvmcheck.checks.finding import Fact, Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.view import run_from


class TargetLeak(Coded):
    """The loss is below what the data allow, or the task is solved at once: the target leaks."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        copied = Rule(
            checks=("targets_not_in_inputs",),
            phrase="column {column} of the inputs is the target",
            fix="drop the column, and build inputs from what is known before the target is",
            explains=("loss_below_entropy", "too_good_to_be_true", "loss_exactly_zero"),
        ).diagnosis(self.name(), evidence)
        if copied is not None:
            return copied
        before = _before_training(self, evidence)
        if before is not None:
            return before
        finding = evidence.failed("loss_below_entropy")
        other = coded(evidence, "loss_fits_accuracy", "accuracy_below_loss")
        if finding is None and other is not None:
            return found(
                self,
                Standing.CONSISTENT,
                "the loss is lower than its right answers allow: it counts others, whose answer is in the input",
                finding_facts(other),
                fix="average the loss over the same tokens as the accuracy: ignore padding and what is not masked",
                explain="loss_fits_accuracy",
                explains=(),
                also=("wrong_scale", "validation_differs"),
                tell_apart="count the targets that are not -100, and compare with the count of the accuracy",
            )
        if finding is None or failed_first(evidence, "loss_exactly_zero", "too_good_to_be_true") is not None:
            return None  # of the latter label_leak says more
        if finding.code == "perfect_at_once":
            return found(
                self,
                Standing.CONSISTENT,
                "every answer is right from the first evaluation on: the task is easy, or its answer is in the input",
                (Fact("value", finding.measured, finding.unit, epoch=finding.epoch), *finding_facts(finding)),
                fix="look for the label, or what was computed from it, among the inputs; evaluate rows that are new",
                explain="loss_below_entropy",
                explains=("too_good_to_be_true",),
                also=("validation_is_training", "constant_targets"),
                tell_apart="fit a linear model to the same inputs: where it is as good, the task is easy or leaks",
            )
        bad = evidence.outcome("loss_below_entropy").status is Status.FAILED
        sure = bad and finding.code == "below_entropy"  # of an entropy that was stated
        return found(
            self,
            Standing.MEASURED if sure else Standing.LIKELY if bad else Standing.CONSISTENT,
            "the answer is in the input: the result is better than the data allow"
            if sure
            else "the result is better than natural text allows: the answer may be in the input",
            (Fact("value", finding.measured, finding.unit, epoch=finding.epoch), *finding_facts(finding)),
            fix="shift the labels by one, use a causal mask, and give the two views of a pair different data",
            explain="loss_below_entropy",
            explains=("too_good_to_be_true",),
            tell_apart=""
            if sure
            else "change one later token: earlier logits must not change; generate: gibberish is a leak",
        )


def _before_training(cause: Cause, evidence: Evidence) -> Diagnosis | None:
    """What a pre-flight found: a position that sees a later one, or targets that are the inputs."""
    shift = preflight_finding(evidence, "target_shift")
    same = (shift is not None and shift.measured == 0) or coded(
        evidence, "next_token_targets", "same_token"
    ) is not None
    return Rule(
        checks=("next_token_targets",),
        codes=("future_seen", "same_token", "causal:future_seen", "target_shift:shift"),
        probes=("causal", *(("target_shift",) if same else ())),
        explains=("loss_below_entropy", "too_good_to_be_true"),
        phrase="the target of a position is the token at that position, which is an input"
        if same
        else "a position sees the tokens after it, which it has to predict",
        fix="compare logits[:, :-1] with tokens[:, 1:], once, and mask every attention with j <= i",
    ).diagnosis(cause.name(), evidence)


_COPIED = {
    "train_loss": made.lines(10, 3.4, 0.01),
    "eval_loss": made.lines(10, 0.5, 0.02, 0.004),
    "perplexity": [1.1] * 10,
}
PASSES = (
    case("two_ahead", preflight_run("target_shift:shift", target_shift=2.0)),
    case("language_model", {"eval_loss": made.lines(10, 3.3, 1.6), "perplexity": [5.0] * 10}),
    case("classifier", {"train_loss": made.lines(10, 2.3, 0.01), "val_acc": made.lines(10, 0.3, 0.99)}),
)
FAILS = (
    case(
        "left_in_the_table",
        case_run("target_copied", [{"apart": 2e-8, "column": 7.0}] * 3),
        Standing.MEASURED,
        column=7,
    ),
    case("no_mask", preflight_run("causal:future_seen", causal=0.4), Standing.MEASURED),
    case("same_token", preflight_run("target_shift:shift", target_shift=0.0), Standing.MEASURED),
    case(
        "all_tokens_counted",
        {
            "eval_loss": [0.6, *[0.33] * 8],
            "eval_ppl": [math.exp(0.6), *[math.exp(0.33)] * 8],
            "eval_masked_acc": made.lines(9, 0.2, 0.33),
        },
        Standing.CONSISTENT,
    ),
    case("not_shifted", {**_COPIED, "perplexity": made.lines(10, 1.7, 1.02, 1.004)}),
    case(
        "below_unigram",
        made.with_facts(run_from({"eval_loss": _COPIED["eval_loss"]}), {"unigram_entropy": 2.9}),
        Standing.MEASURED,
    ),
)
