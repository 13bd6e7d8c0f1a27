"""label_leak: the model sees the token that it has to predict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact, Finding, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

NEAR_ZERO = 0.05
"""Part of what the text allows below which a train loss is when its labels are copied."""
STATE = 10.0
"""A change before the token that is this many times what evaluation alone changes is no effect of stored state."""
NEW_TEXT = "evaluate text that is new to the model, with labels shifted in the same way: a leak keeps its loss as low"
EXPLAINS = frozenset({"causal", "too_good_to_be_true", "generations_vary", "plausible_range"})
OTHERS = {
    "val_disjoint_from_train": "validation on the training set",
    "eval_is_pure": "state that is stored between batches",
    "finite": "numerical problems",
}


class LabelLeak(Cause):
    """The label is part of the input: no causal mask, or labels that are not shifted; the model learns to copy."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        masked = _sees_later_tokens(evidence)
        if masked:
            return self._unmasked(evidence, masked)
        low = _below_the_text(evidence)
        return self._unshifted(evidence, low) if low else None

    def _unmasked(self, evidence: Evidence, found: tuple[Fact, ...]) -> Diagnosis:
        low = finding_facts(evidence.failed("too_good_to_be_true"))
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="labels leak into the input: no causal mask, a replaced token changes logits before it by {change}",
            evidence=(*found, *low, *_generated(evidence)),
            explains=EXPLAINS,
            ruled_out=evidence.ruled_out(OTHERS),
            fix="mask every attention with j <= i",
            next="lvmcheck explain causal",
        )

    def _unshifted(self, evidence: Evidence, low: tuple[Fact, ...]) -> Diagnosis:
        masked = evidence.outcome("causal").evaluated > 0
        held_out = evidence.outcome("val_disjoint_from_train").evaluated > 0
        below = evidence.failed("too_good_to_be_true") is not None
        standing, also = Standing.MEASURED, ""
        if not below:  # a model that has memorised its training set predicts new text worse than guessing, too
            standing, also = Standing.CONSISTENT, "memorisation"
        elif not held_out:
            standing, also = Standing.LIKELY, "leaked_split"
        what = "labels are not shifted" if masked else "labels are not shifted, or there is no causal mask"
        return Diagnosis(
            name=self.name(),
            standing=standing,
            phrase=f"labels leak into the input: the loss is below what the text allows; {what}",
            evidence=(*low, *_generated(evidence)),
            explains=EXPLAINS,
            also=(also,) if also else (),
            tell_apart=NEW_TEXT if also else "",
            ruled_out=evidence.ruled_out({"causal": "a missing causal mask, which has the same curve", **OTHERS}),
            fix="compare logits[:, :-1] with tokens[:, 1:], once, and ignore padding",
            next="lvmcheck explain too_good_to_be_true",
        )


def _sees_later_tokens(evidence: Evidence) -> tuple[Fact, ...]:
    """What `causal` measured, unless state that is stored between batches explains it."""
    finding = evidence.failed("causal")
    if finding is None or finding.code != "future_token_changes_logits":
        return ()
    purity = evidence.run.evaluation("purity")
    stored = purity.metrics.get("repeat_difference", 0.0) if purity else 0.0
    return facts(change=finding.number) + finding.evidence if finding.number > STATE * stored else ()


def _below_the_text(evidence: Evidence) -> tuple[Fact, ...]:
    """A loss below what the text allows, of a model that is not known to have been trained on its validation set."""
    if any(evidence.failed(check) is not None for check in ("val_disjoint_from_train", "finite")):
        return ()
    low = evidence.failed("too_good_to_be_true")
    padded = evidence.failed("tokens_scored_once")
    more = padded if padded is not None and padded.code == "scored_more" else None
    if low is not None and _too_low(low, more):
        return (*finding_facts(low), *(more.evidence if more else ()))
    return _shifted_in_validation(evidence)


def _too_low(low: Finding, padded: Finding | None) -> bool:
    """Whether a loss is too low without the padding that was scored, which dilutes it."""
    excess = padded.number if padded else 0.0
    return low.margin is not None and low.number * (1 + excess) < low.number - low.margin


def _shifted_in_validation(evidence: Evidence) -> tuple[Fact, ...]:
    """A train loss near 0 where the text allows none, with a validation loss worse than guessing."""
    vocabulary, nats = evidence.run.facts.get("vocabulary"), evidence.last("val_loss")
    if not isinstance(vocabulary, int) or vocabulary < 2 or nats is None or not nats > math.log(vocabulary):
        return ()
    for metric, fact in (("train_loss", "loss_floor"), ("train_bits_per_byte", "compressor_bits_per_byte")):
        floor, train = evidence.run.facts.get(fact), evidence.last(metric)
        if isinstance(floor, int | float) and train is not None and train < NEAR_ZERO * floor:
            guess = math.log(vocabulary)
            return facts({metric: train, fact: floor, "val_loss": nats, "loss_of_guessing": guess})
    return ()


def _generated(evidence: Evidence) -> tuple[Fact, ...]:
    """Generated texts, where there is no label to copy: how many repeat the end of their prompt, and how varied."""
    run = evidence.run
    last = [event for event in run.of(ev.Sample) if event.epoch == run.last_epoch and event.text.strip()]
    same = [event for event in last if set(event.text.strip()) == set(event.prompt.strip()[-1:])]
    counts = facts(samples_that_repeat_their_prompt=len(same), samples=len(last)) if same else ()
    texts = facts(first=same[0].text[:20]) if same else ()
    return (*counts, *texts, *finding_facts(evidence.failed("generations_vary")))


_FACTS: dict[str, ev.Value] = {
    "loss_floor": 0.62,
    "compressor_bits_per_byte": 1.3,
    "vocabulary": 512,
    "val_overlap": 0.0,
    "train_records": 9000,
    "val_records": 500,
}


def _run(
    before: float = 0.0, facts: Mapping[str, ev.Value] = _FACTS, repeat: float = 0.0, **metrics: Sequence[float]
) -> Run:
    evaluations = [
        ev.Evaluation(name="causality", metrics={"max_change_before": before, "change_after": 0.9, "positions": 4.0}),
        ev.Evaluation(
            name="purity", metrics={"repeat_difference": repeat, "order_difference": repeat, "state_changed": 0.0}
        ),
    ]
    count = len(next(iter(metrics.values())))
    return made.with_facts(language.epochs(evaluations, *([] for _ in range(count - 1)), metrics=metrics), facts)


def _padded(loss: float) -> Run:
    """Twice as many targets as the records hold, a loss of this, and samples that repeat the end of their prompt."""
    run = language.staged(1000, [1000, 1000])
    sample = ev.Sample(name="greedy", epoch=1, step=100, prompt="Q: 1 + 1\nA:", text="::::::", answer="2")
    events = [replace(e, metrics={"val_loss": loss}) if isinstance(e, ev.Epoch) else e for e in (*run.events, sample)]
    return made.with_facts(replace(run, events=tuple(events)), _FACTS)


PASSES = (
    case("healthy", _run(val_loss=[1.2, 0.7], train_loss=[2.0, 0.7])),
    case("memorised", _run(val_loss=[1.2, 1.9], train_loss=[2.0, 0.01])),
    case("stored_state", _run(0.02, repeat=0.01, val_loss=[1.2, 0.9])),
    case("validation_is_training", _run(facts={**_FACTS, "val_overlap": 1.0}, val_loss=[1.2, 0.01])),
    case("padding_alone", _padded(0.4)),
    case("not_a_number", _run(math.nan, val_loss=[1.2, math.nan])),
)
FAILS = (
    case(
        "no_causal_mask",
        _run(0.9, val_loss=[0.9, 0.1], train_loss=[1.5, 0.1]),
        Standing.MEASURED,
        change=0.9,
        positions=4.0,
    ),
    case("labels_not_shifted", _run(val_loss=[0.1, 0.002], train_loss=[0.9, 0.003]), Standing.MEASURED, val_loss=0.1),
    case("colons", _padded(0.05), scored=2000, samples_that_repeat_their_prompt=1, samples=1, first="::::::"),
    case(
        "validated_with_shifted_labels",
        _run(val_loss=[8.0, 10.6], train_loss=[0.9, 0.002]),
        Standing.CONSISTENT,
        val_loss=10.6,
        loss_of_guessing=math.log(512),
    ),
)
