"""label_leak: the model sees the token that it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lvmcheck import events as ev
from lvmcheck.cause import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks import _cases as made
from lvmcheck.checks import _language_cases as language
from lvmcheck.run import Run

NEAR_ZERO = 0.05
"""Part of what the text allows below which nothing but copying gets."""
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
        what = "no causal mask: positions see the tokens after them" if masked else "labels are not shifted"
        return Diagnosis(
            name=self.name(),
            sentence=f"the labels leak into the input: {what}, so that the model copies instead of predicting",
            evidence=(
                *masked,
                *copied,
                *((looks.sentence(), *looks.evidence) if looks and masked else ()),
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
            score=0.97,
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
    """A loss near 0 where text allows none, of a model that is not known to have seen its validation set."""
    if any(evidence.failed(use) is not None for use in ("val_disjoint_from_train", "finite")):
        return []
    run = evidence.run
    known = (("loss", run.facts.get("loss_floor")), ("bits_per_byte", run.facts.get("compressor_bits_per_byte")))
    for unit, floor in known:
        if isinstance(floor, bool) or not isinstance(floor, int | float):
            continue
        train, val = evidence.last(f"train_{unit}"), evidence.last(f"val_{unit}")
        if val is not None and val < NEAR_ZERO * floor:
            return [_said(unit, "val", val, floor)]
        vocabulary, nats = run.facts.get("vocabulary"), evidence.last("val_loss")
        if not isinstance(vocabulary, int) or vocabulary < 2 or nats is None or not nats > math.log(vocabulary):
            continue
        if train is not None and train < NEAR_ZERO * floor:
            uniform = f"val loss {nats:.2f} nats, guessing among {vocabulary:,} tokens {math.log(vocabulary):.2f}"
            return [_said(unit, "train", train, floor), f"{uniform}: validation is measured with shifted labels"]
    return []


def _said(unit: str, split: str, value: float, floor: float) -> str:
    if unit == "loss":
        return f"{split} loss {value:.4f} nats, the entropy of the text {floor:.3f}"
    return f"{split} bits per byte {value:.4f}, a compressor needs {floor:.2f}"


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


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=_run(val_loss=[1.2, 0.7], train_loss=[2.0, 0.7])),
    CauseCase(name="learned_by_heart", run=_run(val_loss=[1.2, 1.9], train_loss=[2.0, 0.01])),
    CauseCase(name="state_that_is_kept", run=_run(0.02, repeat=0.01, val_loss=[1.2, 0.9])),
    CauseCase(name="validation_is_training", run=_run(facts={**_FACTS, "val_overlap": 1.0}, val_loss=[1.2, 0.01])),
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
        says=("labels are not shifted", "val loss 0.0020", "not: a missing causal mask"),
    ),
    CauseCase(
        name="validated_with_shifted_labels",
        run=_run(val_loss=[8.0, 10.6], train_loss=[0.9, 0.002]),
        says=("10.60 nats", "guessing among 512 tokens 6.24"),
    ),
)
