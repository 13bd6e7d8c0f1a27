"""causal: no position of a language model sees what comes after it."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, facts, failed
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import Numbers, at_least, at_most, each_evaluation
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.run.events import Evaluation
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class Causal(Check):
    """When token j is replaced, logits before j change by at most `tolerance`, and logits from j on do change.

    The trainer replaces tokens at several positions and reports the evaluation "causality": max_change_before,
    change_after and positions, before the first step and again at the end; every one must hold. The change after is
    the control: where nothing changes anywhere, the perturbation never reached the model.

    Why:
    A model that sees its label learns to copy it. The loss falls far below what text allows, validation falls with
    it, and generation, where nothing is there to copy, is gibberish. The original project's language model had no
    causal mask in any attention; its loss was 0.115 nats and its output a row of colons.

    Usual causes:
    - No causal mask: a window |i - j| <= w looks both ways.
    - One attention of several is not masked, such as the cross attention of a recursion over its features.
    - A normalisation, a pooled summary or a memory is computed over the whole sequence.
    - Packed records see each other, or a cache is filled before it is read.

    Fix:
    Mask every attention with j <= i, and test each block by itself with the same perturbation: the first block whose
    output changes before j is at fault. Labels that are not shifted are another fault with the same curve.

    Healthy runs that must pass:
    Rounding of float32 kernels (1e-6) in logits before j; a window shorter than the sequence.

    Source:
    history 9 and 16 (full score matrix, no mask supplied by the trainer).
    """

    metric_fields = ()

    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        return each_evaluation(run, "causality", self._compare, "no token was perturbed")

    def _compare(self, event: Evaluation) -> list[Finding] | Outcome:
        known = Numbers(event.metrics)
        before, after, positions = (known.number(key) for key in ("max_change_before", "change_after", "positions"))
        shown = facts(change_before=before, change_after=after, positions=positions)
        if not after > 0.0:
            phrase = "logits from a replaced token on change by {measured}: the perturbation did not reach the model"
            return failed(Finding(code="perturbation_without_effect", measured=after, evidence=shown, phrase=phrase))
        phrase = "logits before a replaced token change by {measured}"
        return [
            at_most("future_token_changes_logits", before, self.tolerance, evidence=shown, phrase=phrase),
            at_least("positions_perturbed", positions, 1, evidence=shown),
        ]


def _run(before: float, after: float = 0.8, positions: float = 4) -> Run:
    said = {"max_change_before": before, "change_after": after, "positions": positions}
    return language.evaluated("causality", {**said, "max_change_before": 0.0}, said)


_case = made.Cases(Causal())
PASSES = (_case("perfect_oracle", _run(0.0)), _case("rounding_of_float32", _run(2.4e-7)))
FAILS = (
    _case("no_causal_mask", _run(0.93), "future_token_changes_logits", 0.93),
    _case("one_unmasked_attention", _run(3e-4)),
    _case("nothing_reaches_the_model", _run(0.0, after=0.0), "perturbation_without_effect", 0.0),
    _case("no_position", _run(0.0, positions=0), "positions_perturbed", 0),
    _case("nan", _run(float("nan")), "future_token_changes_logits", float("nan")),
)
