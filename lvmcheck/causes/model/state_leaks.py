"""state_leaks: what was evaluated before changes what is evaluated now."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

IMPURE = 1e-4
"""Difference of logits beyond which two evaluations are not the same function."""


class StateLeaks(Cause):
    """A memory or buffer leaks from batch to batch: the same input does not give the same output."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("eval_is_pure")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or not math.isfinite(measured):
            return None
        if measured <= IMPURE:
            return None
        rows = evidence.failed("batch_invariance")
        kept = any(
            event.name == "purity" and event.metrics.get("state_changed", 0.0) > 0
            for event in evidence.run.of(ev.Evaluation)
        )
        return Diagnosis(
            name=self.name(),
            sentence="evaluation changes the model: state leaks from batch to batch"
            if kept
            else "evaluating twice gives two results: something is drawn or kept outside the model's state",
            evidence=(
                *finding.evidence,
                finding.sentence(),
                *((f"rows depend on each other, too: {rows.sentence()}",) if rows else ()),
                "dropout that is left on looks the same and changes no tensor"
                if kept
                else "a buffer that is overwritten looks the same and changes a tensor",
            ),
            ruled_out=evidence.ruled_out(
                {"batch_invariance": "rows that are mixed inside a batch", "finite": "numerical trouble"}
            ),
            fix="keep state per sequence, pass it in and out explicitly, and begin every batch with none"
            if kept
            else "call model.eval() before evaluating, and draw from no global generator",
            next="lvmcheck explain eval_is_pure",
            score=0.93,
        )


def _run(repeat: float, order: float, state: float, rows: float = 0.0) -> Run:
    purity = {"repeat_difference": repeat, "order_difference": order, "state_changed": state}
    return language.epochs(
        [
            ev.Evaluation(name="purity", metrics=purity),
            ev.Evaluation(name="batch_invariance", metrics={"max_difference": rows}),
        ]
    )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=_run(0.0, 0.0, 0.0)),
    CauseCase(name="rounding", run=_run(0.0, 2e-5, 0.0)),
    CauseCase(name="not_a_number", run=_run(math.nan, 0.0, 0.0)),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="memory_is_the_mean_of_the_batch_before",
        run=_run(0.03, 0.12, 1.0, rows=0.05),
        says=("state leaks from batch to batch", "state changed by evaluation: 1", "rows depend on each other"),
    ),
    CauseCase(name="dropout", run=_run(0.4, 0.4, 0.0), says=("call model.eval()", "0.4")),
    CauseCase(name="in_both", run=_run(0.03, 0.0, 2.0), says=("begin every batch with none",)),
)
