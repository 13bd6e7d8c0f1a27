"""eval_is_pure: evaluating a model changes nothing, and gives the same again."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, facts
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import Numbers, at_most, each_evaluation
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.run.events import Evaluation
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class EvalIsPure(Check):
    """Evaluated twice, or in another order of batches, a model gives the same to `tolerance` and keeps its state.

    The trainer reports the evaluation "purity": repeat_difference and order_difference (largest absolute difference
    of a logit), state_changed (tensors of parameters and buffers that differ afterwards, bit for bit), before the
    first step and again at the end; every one must hold.

    Why:
    A validation that depends on what was evaluated before it measures the order of the rows. In the original project's
    language model, memory was a buffer that every forward pass overwrote with the mean over its batch, in training,
    evaluation and generation; it was saved in checkpoints and never reset, so the same input twice gave different
    logits.

    Usual causes:
    - A recurrent memory or cache kept on the module between calls.
    - Train mode left on: dropout draws anew, batch normalisation moves its statistics.
    - Statistics such as an EMA calibration that are updated in evaluation, too.
    - Sampling from the global random generator.

    Fix:
    Call model.eval(), pass state in and out explicitly, and update statistics only in training. The buffer that
    changed is found by comparing state_dict() before and after one forward pass.

    Healthy runs that must pass:
    Rounding (1e-6) where another batch order chooses another kernel.

    Source:
    history 9 (memory_state overwritten in evaluation, "difference is expected").
    """

    metric_fields = ()

    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        return each_evaluation(run, "purity", self._compare, "nothing was evaluated twice")

    def _compare(self, event: Evaluation) -> list[Finding]:
        known = Numbers(event.metrics)
        repeat, order, state = (known.number(key) for key in ("repeat_difference", "order_difference", "state_changed"))
        shown = facts(repeat_difference=repeat, order_difference=order, state_changed=state)
        again = "logits of two evaluations differ by {measured}"
        mixed = "logits in two orders of the batches differ by {measured}"
        changed = "evaluation changed {measured} of the state"
        return [
            at_most("repeat_differs", repeat, self.tolerance, evidence=shown, phrase=again),
            at_most("order_matters", order, self.tolerance, evidence=shown, phrase=mixed),
            at_most("state_changed", state, 0, evidence=shown, phrase=changed, unit="tensors"),
        ]


def _run(repeat: float = 0.0, order: float = 0.0, state: float = 0.0) -> Run:
    said = {"repeat_difference": repeat, "order_difference": order, "state_changed": state}
    return language.evaluated("purity", dict.fromkeys(said, 0.0), said)


_case = made.Cases(EvalIsPure())
PASSES = (_case("perfect_oracle", _run()), _case("rounding_in_another_order", _run(order=9.5e-7)))
FAILS = (
    _case("memory_kept_between_batches", _run(0.031, 0.12, 1), "state_changed", 1, order_difference=0.12),
    _case("dropout_left_on", _run(repeat=0.4, order=0.4), "repeat_differs", 0.4),
    _case("a_buffer_counts_calls", _run(state=1), "state_changed", 1),
    _case("nan", _run(repeat=float("nan")), "repeat_differs", float("nan")),
)
