"""dominant_term: one loss term has so much gradient that the others are not optimised."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact, Finding, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.shares import TERM_METRIC, active_terms
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

RISE = 1.05
"""A term that ends this many times above its first value is not optimised."""

EXPLAINS = frozenset(
    {"loss_balance", "nothing_learned", "cosine_floor", "beats_baselines", "improves", "val_loss_descends"}
)
RECORD = "record the gradient norm of each weighted term: rec.probe('term_grad_norm', {term: norm})"


class DominantTerm(Coded):
    """One loss term has so much more gradient than the others that they are not optimised at all."""

    reads_loss = True

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        ruled = evidence.failed("loss_terms_balanced")
        if ruled is not None and not math.isnan(ruled.number):
            return self._by_addends(ruled)
        finding = evidence.failed("loss_balance")
        if finding is None or math.isnan(finding.number) or evidence.failed("finite") is not None:
            return None
        by_gradient = finding.code == "gradient_ratio"
        support = (*_neglected(evidence, finding), *_mean_direction(evidence), *_below_constant(evidence))
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED if by_gradient else Standing.LIKELY if support else Standing.CONSISTENT,
            phrase="loss term {term} dominates: {gradient_ratio} the gradient norm of {next}"
            if by_gradient
            else "loss term {term} holds a share of {value_share} of the loss value",
            evidence=(*finding_facts(finding), *support),
            explains=EXPLAINS,
            also=() if by_gradient or support else ("not_learning", "learning_rate_too_high"),
            tell_apart="" if by_gradient else RECORD,
            ruled_out=evidence.ruled_out(
                {"finite": "numerical problems", "not_diverging": "divergence", "generalisation_gap": "memorisation"}
            ),
            fix="train the main loss alone first; then add the other term with a hundredth of the main gradient norm",
            next="lvmcheck explain loss_balance",
        )

    def _by_addends(self, finding: Finding) -> Diagnosis:
        """The gradients that a watched loop measured of the terms of its loss."""
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="one loss term has {ratio} times the gradient of the next",
            evidence=finding_facts(finding),
            explains=EXPLAINS | {"loss_terms_balanced"},
            fix="choose the weight so that the second term has a tenth to a hundredth of the gradient of the main one",
            next="lvmcheck explain loss_terms_balanced",
        )


def _neglected(evidence: Evidence, finding: Finding) -> tuple[Fact, ...]:
    """Another optimised term that rises while the loss falls."""
    run, term = evidence.run, finding.fact("term")
    losses = run.series("train_loss").values.tolist()
    if term is None or len(losses) < 2 or not losses[-1] < losses[0]:
        return ()
    for name in active_terms(run):
        values = [] if name == term.value else run.series(TERM_METRIC + name).values.tolist()
        if len(values) > 1 and values[0] > 0 and values[-1] > RISE * values[0]:
            return facts({"neglected_term": name, "first": values[0], "last": values[-1]})
    return ()


def _mean_direction(evidence: Evidence) -> tuple[Fact, ...]:
    """What InfoNCE does not see: the direction that all targets share."""
    got, of_targets = evidence.last("val_mean_direction"), evidence.last("val_target_mean_direction")
    if got is None or of_targets is None or not got < 0.8 * of_targets:
        return ()
    return facts(mean_direction=got, target_mean_direction=of_targets)


def _below_constant(evidence: Evidence) -> tuple[Fact, ...]:
    """A cosine below that of a constant prediction."""
    constant = evidence.run.facts.get("constant_mean")
    for metric in ("val_cosine", "train_cosine"):
        value = evidence.last(metric)
        if value is not None and isinstance(constant, int | float) and value < constant:
            return facts({metric: value}, constant_mean=constant)
    return ()


_LOSS = {"mse": 0.5, "info": 0.5}
_EPOCH_1 = {"train_loss": [0.69797], "train_loss_mse": [0.0020154], "train_loss_info": [1.3939], "val_cosine": [0.2664]}


def _lost_direction() -> Run:
    metrics = {**_EPOCH_1, "val_mean_direction": [0.11], "val_target_mean_direction": [0.48]}
    return made.with_facts(run_from(metrics, config={"loss": _LOSS}), {"constant_mean": 0.48})


_ADDENDS = {"ratio": 1100.0, "weight": 500.0, "weight_of_next": 1.0, "addends": 2.0}


def _gradients(ratio: float) -> Run:
    norms = {step: {"mse": 0.01, "info_nce": 0.01 * ratio} for step in range(100, 600, 100)}
    terms = {"mse": (0.5, [0.002] * 11), "info_nce": (0.5, [1.394] * 11)}
    return made.window_run([0.698] * 11, terms=terms, gradients=norms, per_epoch=20, over=False)


PASSES = (
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    case("balanced", _gradients(5.0)),
    case("small_regulariser", case_run("addend_gradients", [{**_ADDENDS, "weight": 1.0, "weight_of_next": 0.01}] * 4)),
    case("empty", Run(events=(ev.Begin(),))),
)
FAILS = (
    case("weight_of_500", case_run("addend_gradients", [_ADDENDS] * 4), Standing.MEASURED, ratio=1100.0),
    case(
        "attempt_2_with_gradients",
        _gradients(388.0),
        Standing.MEASURED,
        gradient_ratio=388.0,
        term="info_nce",
        next="mse",
    ),
    case(
        "attempt_2_history",
        _lost_direction(),
        Standing.LIKELY,
        value_share=0.9986,
        mean_direction=0.11,
        val_cosine=0.2664,
        constant_mean=0.48,
    ),
    case(
        "the_other_term_rises",
        run_from(
            {"train_loss": [0.7, 0.6], "train_loss_mse": [0.002, 0.003], "train_loss_info": [1.398, 1.197]},
            config={"loss": _LOSS},
        ),
        Standing.LIKELY,
        neglected_term="mse",
        first=0.002,
        last=0.003,
    ),
    case(
        "by_value_alone",
        run_from(
            {"train_loss": [0.7, 0.7], "train_loss_mse": [0.003, 0.002], "train_loss_info": [1.397, 1.398]},
            config={"loss": _LOSS},
        ),
        Standing.CONSISTENT,
    ),
)
