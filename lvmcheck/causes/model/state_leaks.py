"""state_leaks: what was evaluated before changes what is evaluated now."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact, Finding, facts
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

IMPURE = 1e-4
"""Difference of logits beyond which two evaluations are not the same function."""


class StateLeaks(Cause):
    """A memory or buffer leaks from batch to batch: the same input does not give the same output."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("eval_is_pure")
        if finding is None or not finding.number > IMPURE or math.isinf(finding.number):
            return None
        changed = max(
            (
                event.metrics.get("state_changed", 0.0)
                for event in evidence.run.of(ev.Evaluation)
                if event.name == "purity"
            ),
            default=0.0,
        )
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="evaluation changes the model: state leaks from batch to batch (tensors changed: {tensors_changed})"
            if changed
            else "two evaluations differ and no tensor changed: dropout is on, or something random is drawn",
            evidence=(*facts(tensors_changed=changed), *finding.evidence, *_rows(evidence.failed("batch_invariance"))),
            explains=frozenset({"eval_is_pure", "batch_invariance", "reload_agrees"}),
            ruled_out=evidence.ruled_out(
                {"batch_invariance": "rows that are mixed inside a batch", "finite": "numerical problems"}
            ),
            fix="keep state per sequence, pass it in and out explicitly, and begin every batch with none"
            if changed
            else "call model.eval() before evaluating, and use no global random generator",
            next="lvmcheck explain eval_is_pure",
        )


def _rows(finding: Finding | None) -> tuple[Fact, ...]:
    return () if finding is None else (Fact("difference_of_a_row_alone_and_in_a_batch", finding.measured),)


def _run(repeat: float, order: float, state: float, rows: float = 0.0) -> Run:
    purity = {"repeat_difference": repeat, "order_difference": order, "state_changed": state}
    return language.epochs(
        [
            ev.Evaluation(name="purity", metrics=purity),
            ev.Evaluation(name="batch_invariance", metrics={"max_difference": rows}),
        ]
    )


PASSES = (
    case("healthy", _run(0.0, 0.0, 0.0)),
    case("rounding", _run(0.0, 2e-5, 0.0)),
    case("not_a_number", _run(math.nan, 0.0, 0.0)),
)
FAILS = (
    case(
        "memory_is_the_mean_of_the_batch_before",
        _run(0.03, 0.12, 1.0, rows=0.05),
        Standing.MEASURED,
        tensors_changed=1.0,
        difference_of_a_row_alone_and_in_a_batch=0.05,
    ),
    case("dropout", _run(0.4, 0.4, 0.0), tensors_changed=0.0, repeat_difference=0.4),
    case("in_both", _run(0.03, 0.0, 2.0), tensors_changed=2.0),
)
