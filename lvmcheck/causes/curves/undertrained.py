"""undertrained: nothing is wrong with the model but that it has hardly been trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

STRUCTURE = {
    "causal": "a missing causal mask",
    "eval_is_pure": "state kept between batches",
    "batch_invariance": "rows that mix",
    "gradients_reach_every_parameter": "parameters without a gradient",
    "effective_lr_matches_config": "learning rates that are not used",
    "tokens_scored_once": "padding in the loss",
    "val_disjoint_from_train": "a leaked split",
    "finite": "numerical problems",
    "loss_diverging": "divergence",
}
OTHERS = ("update_orthogonal", "filter_is_low_pass", "stage_changes_data", "datasets_present", "metric_constant")
"""What must not have failed either, and need not be listed."""
HIGH = 1.5
"""Times the entropy of the text above which a loss has far to go."""
FALLING = 0.005
"""Relative fall of the validation loss in the last epoch from which on it is still falling."""


class Undertrained(Cause):
    """The loss is far above what the text allows and still falling, and nothing structural has failed."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        soup = finding_facts(evidence.failed("generations_vary")) or _few_right(evidence)
        if not soup or any(evidence.failed(check) is not None for check in (*STRUCTURE, *OTHERS)):
            return None
        high = _high(evidence)
        if not high:
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.CONSISTENT,
            phrase="too little training: {steps} in {epochs}, with the loss still high",
            evidence=(
                Fact("steps", evidence.run.step, "steps"),
                Fact("epochs", evidence.run.last_epoch, "epochs"),
                *high,
                *_falling(evidence),
                *soup,
            ),
            explains=frozenset({"generations_vary", "answers_correct"}),
            tell_apart="train ten times longer; a label leak generates the same noise at a loss near 0",
            ruled_out=evidence.ruled_out(STRUCTURE),
            fix="train longer, or a smaller model on simpler questions, until the validation loss stops falling",
            next="lvmcheck explain generations_vary",
        )


def _few_right(evidence: Evidence) -> tuple[Fact, ...]:
    share, asked = evidence.last("exact_match"), evidence.last("exact_match_questions")
    if share is None or asked is None or not share < 0.05:
        return ()
    return (Fact("answered_right", 100 * share, "%"), Fact("questions", asked))


def _high(evidence: Evidence) -> tuple[Fact, ...]:
    """The loss beside the entropy of the text, or beside a compressor."""
    known = (("val_loss", "loss_floor", HIGH), ("val_bits_per_byte", "compressor_bits_per_byte", 1.0))
    for metric, fact, factor in known:
        value, floor = evidence.last(metric), evidence.run.facts.get(fact)
        if value is not None and isinstance(floor, int | float) and not isinstance(floor, bool):
            return (Fact(metric, value), Fact(fact, floor)) if value > factor * floor else ()
    return ()


def _falling(evidence: Evidence) -> tuple[Fact, ...]:
    values = evidence.run.series("val_loss").values
    if len(values) < 2 or not values[-1] < (1 - FALLING) * values[-2]:
        return ()
    return (Fact("val_loss_before_last", float(values[-2])),)


_SOUP = {
    "greedy/distinct_2": 0.01,
    "greedy/entropy": 0.1,
    "greedy/top_token_share": 0.98,
    "greedy/identical_share": 1.0,
    "greedy/longest_run": 16.0,
    "greedy/prompts": 32.0,
    "greedy/tokens": 512.0,
    "reference/distinct_2": 0.6,
    "reference/entropy": 2.8,
    "reference/top_token_share": 0.15,
    "reference/identical_share": 0.05,
}
_GENERATIONS = {**_SOUP, **{name.replace("greedy", "sampled"): _SOUP[name] for name in _SOUP if "greedy" in name}}
_FACTS: dict[str, ev.Value] = {"loss_floor": 0.62}


def _run(losses: Sequence[float], facts: Mapping[str, ev.Value] = _FACTS, before: float = 0.0) -> Run:
    metrics = {"max_change_before": before, "change_after": 0.9, "positions": 4.0}
    spoken: list[list[ev.Event]] = [[] for _ in losses]
    spoken[0].append(ev.Evaluation(name="causality", metrics=metrics))
    spoken[-1].append(ev.Probe(name="generations", epoch=len(losses), step=100, values=_GENERATIONS))
    columns = {"val_loss": losses, "exact_match": [0.0] * len(losses), "exact_match_questions": [64.0] * len(losses)}
    return made.with_facts(language.epochs(*spoken, metrics=columns), facts)


PASSES = (
    case("low_loss", _run([2.0, 0.7])),
    case("no_causal_mask", _run([5.0, 4.0], before=0.9)),
    case("not_a_number", _run([5.0, math.nan])),
)
FAILS = (
    case("token_soup", _run([6.1, 5.2]), val_loss_before_last=6.1, val_loss=5.2),
    case(
        "against_a_compressor",
        made.with_facts(
            language.epochs(
                [ev.Probe(name="generations", epoch=1, step=100, values=_GENERATIONS)],
                metrics={"val_bits_per_byte": [3.6]},
            ),
            {"compressor_bits_per_byte": 1.96},
        ),
        val_bits_per_byte=3.6,
        compressor_bits_per_byte=1.96,
    ),
)
