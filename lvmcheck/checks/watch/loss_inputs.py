"""loss_inputs: every loss function is given what it expects, in whatever term it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

SAYS: Mapping[str, str] = {
    "softmax_twice": "{function} is given probabilities in place of logits",
    "wrong_axis": "{function} is given values that are normalised over another axis than the classes",
    "not_log_probabilities": "{function} is given no logs of probabilities",
    "sigmoid_twice": "{function} is given the output of a sigmoid in place of logits",
    "broadcast": "{function} compares every row with every other: [N, 1] meets [N]",
    "out_of_range": "{function} is given targets outside of 0 to 1, or of 0 and 1/255",
    "rectified": "{function} is given the output of a ReLU in place of logits",
    "squashed": "{function} is given the output of a tanh or a sigmoid in place of logits",
    "over_batch": "{function} takes lengths over the rows of the batch, which a loss over pairs compares",
    "divided": "{function} is given targets of 0 and 1/255 in place of 0 and 1",
    "out_of_reach": "{function} is given targets that the activation of the output cannot be",
}


@dataclass(frozen=True, kw_only=True)
class LossInputs(Watched):
    """No call of a loss function between a forward pass and its step is given what it does not expect: probabilities
    for logits (cross_entropy, logsumexp, softmax), values normalised over the batch (cross_entropy, nll_loss, kl_div),
    no logs of probabilities (nll_loss, kl_div), a sigmoid, a tanh or a ReLU for logits, shapes [N, 1] and [N],
    embeddings normalised over the batch beside a cross-entropy of a batch with a batch, targets outside of 0 to 1
    (binary_cross_entropy_with_logits), or targets of which 5 % are beyond what the output's ReLU, softplus, sigmoid or
    tanh gives by 5 % of their range (mean squared and absolute errors).
    Calls that carry no gradient, and those inside of the model, are not looked at.

    Why:
    A policy, a student, a contrastive or a value loss can be wrong beside a main output that is right, and all of it
    trains.

    Usual causes:
    - Softmax before cross_entropy or Categorical(logits=...).
    - dim=0 in softmax.
    - values [N, 1] and returns [N].
    - An activation after the last layer.

    Fix:
    Give logits, normalise over the classes, give both sides one shape; end a model in a linear layer.

    Healthy runs that must pass:
    Log-probabilities with nll_loss; smoothed and mixed targets; soft targets of a teacher; metrics without gradient;
    differences of all pairs; logits that a scaled tanh keeps small; a sigmoid or tanh whose targets lie within its
    range, but for a few outliers.

    Source:
    This project's list of checks: logit_form.
    """

    event = "loss_input"
    needs = 64

    def look(self, event: Watch) -> Finding:
        of = event.values
        bad = [code for code in SAYS if of.get(code, 0.0) != 0.0]
        code = bad[0] if bad else "expected"
        return Finding(
            code=code,
            measured=of.get(code, 0.0),
            bounds=(equal(0),),
            evidence=(Fact("function", event.subjects[0] if event.subjects else ""),),
            phrase=SAYS.get(code, "{function} is given what it expects"),
        )


_case = Cases(LossInputs())
_WELL = dict.fromkeys(SAYS, 0.0)
PASSES = (
    _case("perfect_oracle", [_WELL] * 3, subjects=["cross_entropy"]),
    _case("two_terms", [_WELL] * 8, subjects=["kl_div"]),
)
FAILS = (
    *(_case(code, [{**_WELL, code: 1.0}], code, 1.0, subjects=["kl_div"], over=False) for code in SAYS),
    _case("not_a_number", [{**_WELL, "broadcast": math.nan}], subjects=["mse_loss"]),
)
