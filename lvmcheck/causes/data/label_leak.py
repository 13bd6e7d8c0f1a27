"""label_leak: the model sees the token that it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

NEAR_ZERO = 0.05
"""Part of what the text allows below which a train loss is when its labels are copied."""
STATE = 10.0
"""A change before the token that is this many times what evaluation alone changes is no effect of kept state."""


class LabelLeak(Cause):
    """The label stands in the input: no causal mask, or labels that are not shifted; the model learns to copy."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        masked = _seen_before(evidence)
        copied = [] if masked else _copied(evidence)
        if not masked and not copied:
            return None
        looks = evidence.failed("too_good_to_be_true")
        varied = evidence.failed("generations_vary")
        seen = evidence.outcome("causal").evaluated > 0
        what = "labels are not shifted" if seen else "labels are not shifted, or there is no causal mask"
        if masked:
            what = "no causal mask, so that positions see the tokens after them"
        return Diagnosis(
            name=self.name(),
            sentence=f"the labels leak into the input: {what}; the model copies instead of predicting",
            evidence=(
                *masked,
                *copied,
                *((looks.sentence(), *looks.evidence) if looks and masked else ()),
                *_repeats(evidence.run),
                *((f"generation, where nothing is there to copy: {varied.sentence()}",) if varied else ()),
            ),
            ruled_out=evidence.ruled_out(
                {
                    **({} if masked else {"causal": "a missing causal mask, which has the same curve"}),
                    "val_disjoint_from_train": "validation on the training set",
                    "eval_is_pure": "state kept between batches",
                    "finite": "numerical trouble",
                }
            ),
            fix="mask every attention with j <= i"
            if masked
            else "compare logits[:, :-1] with tokens[:, 1:], once, and ignore padding",
            next="lvmcheck explain causal" if masked else "lvmcheck explain too_good_to_be_true",
            score=0.97 if masked else 0.95,
        )


def _seen_before(evidence: Evidence) -> list[str]:
    """What `causal` found, unless kept state alone explains it."""
    finding = evidence.failed("causal")
    before = None if finding is None else finding.measured
    if finding is None or not finding.what.startswith("change of logits before") or not isinstance(before, float):
        return []
    purity = evidence.run.evaluation("purity")
    kept = purity.metrics.get("repeat_difference", 0.0) if purity else 0.0
    return [finding.sentence(), *finding.evidence] if before > STATE * kept else []


def _copied(evidence: Evidence) -> list[str]:
    """A loss below what text allows, of a model that is not known to have seen its validation set."""
    if any(evidence.failed(use) is not None for use in ("val_disjoint_from_train", "finite")):
        return []
    low = evidence.failed("too_good_to_be_true")
    if low is not None and isinstance(low.measured, float) and low.margin is not None:
        # Padding that is scored dilutes the loss; what is left when that is taken out must still be too low.
        padded = evidence.failed("tokens_scored_once")
        said = [text for text in padded.evidence if "padding" in text] if padded else []
        excess = padded.measured if padded and said and isinstance(padded.measured, float) else 0.0
        if low.measured * (1 + excess) < low.measured - low.margin:
            return [low.sentence(), *low.evidence, *said]
    return _shifted_in_validation(evidence)


def _shifted_in_validation(evidence: Evidence) -> list[str]:
    """A train loss near 0 where text allows none, with a validation loss worse than guessing."""
    vocabulary, nats = evidence.run.facts.get("vocabulary"), evidence.last("val_loss")
    if not isinstance(vocabulary, int) or vocabulary < 2 or nats is None or not nats > math.log(vocabulary):
        return []
    known = {"loss": "loss_floor", "bits_per_byte": "compressor_bits_per_byte"}
    for unit, fact in known.items():
        floor, train = evidence.run.facts.get(fact), evidence.last(f"train_{unit}")
        if isinstance(floor, int | float) and train is not None and train < NEAR_ZERO * floor:
            allowed = f"entropy of the text {floor:.3f}" if unit == "loss" else f"a compressor needs {floor:.2f}"
            return [
                f"train {unit.replace('_', ' ')} {train:.4f}, {allowed}",
                f"val loss {nats:.2f} nats, guessing among {vocabulary:,} tokens {math.log(vocabulary):.2f}: only "
                "validation has its labels shifted",
            ]
    return []


def _repeats(run: Run) -> list[str]:
    """Generated texts that say the last sign of their prompt again and again: what copying its input does."""
    last = [event for event in run.of(ev.Sample) if event.epoch == run.last_epoch and event.text.strip()]
    same = [event for event in last if set(event.text.strip()) == set(event.prompt.strip()[-1:])]
    if not same:
        return []
    return [f"{len(same)} of {len(last)} samples repeat the last sign of their prompt: {same[0].text[:20]!r}"]


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
    said = [
        ev.Evaluation(name="causality", metrics={"max_change_before": before, "change_after": 0.9, "positions": 4.0}),
        ev.Evaluation(
            name="purity", metrics={"repeat_difference": repeat, "order_difference": repeat, "state_changed": 0.0}
        ),
    ]
    count = len(next(iter(metrics.values())))
    return made.with_facts(language.epochs(said, *([] for _ in range(count - 1)), metrics=metrics), facts)


def _padded(loss: float) -> Run:
    """Twice as many targets as the records hold, a loss of this, and samples that repeat the end of their prompt."""
    run = language.staged(1000, [1000, 1000])
    sample = ev.Sample(name="greedy", epoch=1, step=100, prompt="Q: 1 + 1\nA:", text="::::::", answer="2")
    events = [replace(e, metrics={"val_loss": loss}) if isinstance(e, ev.Epoch) else e for e in (*run.events, sample)]
    return made.with_facts(replace(run, events=tuple(events)), _FACTS)


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=_run(val_loss=[1.2, 0.7], train_loss=[2.0, 0.7])),
    CauseCase(name="learned_by_heart", run=_run(val_loss=[1.2, 1.9], train_loss=[2.0, 0.01])),
    CauseCase(name="state_that_is_kept", run=_run(0.02, repeat=0.01, val_loss=[1.2, 0.9])),
    CauseCase(name="validation_is_training", run=_run(facts={**_FACTS, "val_overlap": 1.0}, val_loss=[1.2, 0.01])),
    CauseCase(name="padding_alone", run=_padded(0.4)),
    CauseCase(name="not_a_number", run=_run(math.nan, val_loss=[1.2, math.nan])),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="no_causal_mask",
        run=_run(0.9, val_loss=[0.9, 0.1], train_loss=[1.5, 0.1]),
        says=("no causal mask", "0.9", "not: validation on the training set"),
    ),
    CauseCase(
        name="labels_not_shifted",
        run=_run(val_loss=[0.1, 0.002], train_loss=[0.9, 0.003]),
        says=(
            "labels are not shifted;",
            "val_loss at epoch 1 0.1",
            "entropy of the text",
            "not: a missing causal mask",
        ),
    ),
    CauseCase(
        name="colons",
        run=_padded(0.05),
        says=("the labels leak", "2,000 targets", "1 of 1 samples repeat the last sign of their prompt: '::::::'"),
    ),
    CauseCase(
        name="validated_with_shifted_labels",
        run=_run(val_loss=[8.0, 10.6], train_loss=[0.9, 0.002]),
        says=("10.60 nats", "guessing among 512 tokens 6.24"),
    ),
)
