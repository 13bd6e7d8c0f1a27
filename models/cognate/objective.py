"""Losses of a batch: cross-entropy under the halting distribution, and what keeps halting and gate alive.

Every term is zero or more, has a gradient, and is made only when its weight is above zero. Means are over scored
tokens (targets other than -100); logits are made step by step and for scored tokens only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lvmcheck.errors import InputError, nearest
from models.cognate.model import Cognate
from models.cognate.output import CognateOutput
from models.terms import LANGUAGE_TERMS

IGNORED = -100  # a target that is not scored
SUPERVISION = 0.3  # share of ce spread evenly over the steps, so that a step where nobody halts still learns
EASY, HARD = 0.8, 0.2  # what halting is calibrated to: never certain, so that a threshold can choose the depth
DIVERSITY = 0.1  # variance of expected steps over the tokens of a batch below which halting_diversity is above zero
MOST_LOGITS = 1 << 26  # made at once; more are made in parts and again backwards


def language_terms(
    model: Cognate, output: CognateOutput, targets: Tensor, weights: Mapping[str, float]
) -> dict[str, tuple[float, Tensor]]:
    """The declared terms as ``{name: (weight, value)}``; the loss is the sum of weight times value.

    * ``ce``: nats per token; for each token the mean of its losses after each step, by its halting distribution
      (PonderNet) mixed with :data:`SUPERVISION` of equal weights (deep supervision, as the original project had it).
    * ``ponder``: expected steps, 1..S.
    * ``halting_entropy``: what the halting distribution lacks to the entropy ln S, in nats.
    * ``halting_diversity``: what the variance of expected steps over tokens lacks to :data:`DIVERSITY`.
    * ``halting_calibration``: divergence, in nats, of halting at a step from :data:`EASY` where the token's loss there
      is below what is usual there and :data:`HARD` elsewhere. The usual loss is a moving average of the batches' means
      and moves while the model trains. The original project compared correctness with its average (history 10).
    * ``gate_entropy``: what the gate's binary entropy lacks to ln 2, in nats.

    Args:
        model: in training mode where ``halting_calibration`` shall move its average.
        targets: [B, T] int64, the token that follows each position, -100 where none is scored.
        weights: by name; a term with weight 0 is not made.

    Raises:
        InputError: an unknown term, a weight below zero or not finite, or no scored token.
    """
    declared = _declared(weights)
    scored = _scored(output, targets)
    values: dict[str, Tensor] = {}
    if "ce" in declared or "halting_calibration" in declared:
        losses = step_losses(model, output, targets, scored)
        values["ce"] = expected_loss(losses, _of(output.halt_weight, scored))
        if "halting_calibration" in declared:
            values["halting_calibration"] = _calibration(model, losses.detach(), _of(output.halt_probability, scored))
    if "ponder" in declared:
        values["ponder"] = _of(output.ponder, scored).mean()
    if "halting_entropy" in declared:
        values["halting_entropy"] = lacking_entropy(_of(output.halt_weight, scored))
    if "halting_diversity" in declared:
        values["halting_diversity"] = lacking_variance(_of(output.ponder, scored))
    if "gate_entropy" in declared:
        gate = output.gate.flatten(0, 1)[scored].float()
        values["gate_entropy"] = lacking_entropy(torch.stack((gate, 1.0 - gate)))
    return {name: (weight, values[name]) for name, weight in declared.items()}


def token_losses(model: Cognate, output: CognateOutput, targets: Tensor) -> Tensor:
    """Cross-entropy of the final logits [B, T] in nats; 0 where nothing is scored."""
    scored = _scored(output, targets)
    with torch.set_grad_enabled(output.differentiable):
        losses = cross_entropy(model, output.hidden.flatten(0, 1)[scored], targets.flatten()[scored])
    return losses.new_zeros(targets.numel()).index_copy(0, scored, losses).view_as(targets)


def step_losses(model: Cognate, output: CognateOutput, targets: Tensor, scored: Tensor) -> Tensor:
    """Cross-entropy [S, N] in nats after each step, of the ``scored`` [N] among the B T tokens."""
    wanted = targets.flatten()[scored]
    return torch.stack([cross_entropy(model, hidden.flatten(0, 1)[scored], wanted) for hidden in output.step_hidden])


def cross_entropy(model: Cognate, hidden: Tensor, targets: Tensor) -> Tensor:
    """Loss [N] in nats of hidden states [N, d]; never more than :data:`MOST_LOGITS` logits are held for it."""
    rows = max(1, MOST_LOGITS // model.vocab_size)
    if len(hidden) <= rows:
        return _losses(model, hidden, targets)
    parts = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
    return torch.cat([checkpoint(_losses, model, h, t, use_reentrant=False) for h, t in parts])


def _losses(model: Cognate, hidden: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(model.head(hidden), targets, reduction="none")


# -- pure functions of the halting distribution ------------------------------------------------------------------------
def expected_loss(losses: Tensor, weight: Tensor) -> Tensor:
    """Mean over tokens of losses [S, N] weighted by the halting distribution [S, N] mixed with equal weights."""
    mixed = (1.0 - SUPERVISION) * weight + SUPERVISION / len(weight)
    return (mixed * losses).sum(dim=0).mean()


def lacking_entropy(p: Tensor) -> Tensor:
    """``ln S - H(p)`` in nats, the mean over all distributions p [S, ...]; 0 where all are uniform."""
    entropy = -torch.xlogy(p, p.clamp(min=torch.finfo(p.dtype).tiny)).sum(dim=0)
    return torch.log(p.new_tensor(float(len(p)))) - entropy.mean()


def lacking_variance(ponder: Tensor) -> Tensor:
    """``max(0, DIVERSITY - variance)`` of expected steps [N]; a single token has no variance to lack, and gives 0."""
    variance = (ponder - ponder.mean()).square().sum() / max(1, len(ponder) - 1)
    return (DIVERSITY - variance).clamp(min=0.0) * float(len(ponder) > 1)


def _calibration(model: Cognate, losses: Tensor, probability: Tensor) -> Tensor:
    """Divergence of halting [S, N] before the last step from whether the token is easier than usual at that step."""
    easy = losses < model.halting.usual_loss.unsqueeze(1)
    if model.training:
        model.halting.calibrate(losses.mean(dim=1))
    return divergence(torch.where(easy, EASY, HARD)[:-1], probability[:-1]).mean()


def divergence(wanted: Tensor, p: Tensor) -> Tensor:
    """Kullback-Leibler divergence in nats of yes-or-no with probability p from that with ``wanted``, elementwise."""
    p = p.clamp(1e-6, 1.0 - 1e-6)
    return wanted * (wanted / p).log() + (1.0 - wanted) * ((1.0 - wanted) / (1.0 - p)).log()


# -- what is asked -----------------------------------------------------------------------------------------------------
def _declared(weights: Mapping[str, float]) -> dict[str, float]:
    """The terms with a weight above zero."""
    for name, weight in weights.items():
        if name not in LANGUAGE_TERMS:
            fix = nearest(name, LANGUAGE_TERMS)
            raise InputError("model cognate", f"no such loss term {name!r}", key=f"run.loss.{name}", fix=fix)
        if not 0.0 <= weight < float("inf"):
            raise InputError("model cognate", f"expected a weight of at least 0, got {weight}", key=f"run.loss.{name}")
    return {name: float(weight) for name, weight in weights.items() if weight > 0.0}


def _scored(output: CognateOutput, targets: Tensor) -> Tensor:
    """Indices [N] of the scored among the B T tokens."""
    if targets.shape != output.ponder.shape or targets.dtype != torch.int64:
        expected = f"expected targets {list(output.ponder.shape)} of int64"
        raise InputError("model cognate", f"{expected}, got {list(targets.shape)} of {targets.dtype}")
    scored = (targets.flatten() != IGNORED).nonzero().squeeze(1)
    if len(scored) == 0:
        raise InputError("model cognate", "expected at least one scored target, got none in this batch")
    return scored


def _of(x: Tensor, scored: Tensor) -> Tensor:
    """[..., N] of [..., B, T]."""
    return x.flatten(-2)[..., scored]
