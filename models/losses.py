"""Loss terms as pure functions, and the weighted total that keeps its ledger (history 3).

P: raw predictions [B, D]; Q: predictions at unit length; Y: targets [B, D], unit vectors as they come from the data.
Every function returns a scalar with a gradient. A term whose weight is 0 is not computed and is absent, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lvmcheck.errors import InputError, nearest
from models.terms import TERMS

EPSILON = 1e-12  # norms below this are not divided out: a zero vector stays zero
EPSILON_HALF = 1e-3  # the same in float16, where 1e-12 is 0 and its inverse no number


def unit(x: Tensor) -> Tensor:
    """Rows at L2 length 1, same shape as ``x``; zero rows stay zero, and so has their cosine with anything.

    A row whose squares overflow (longer than 1.8e19 in float32 and bfloat16) becomes zero too: its cosine is 0, which
    fails every floor. Scaling it first would cost each step 50 microseconds, for runs that diverged long before.
    """
    return F.normalize(x, dim=-1, eps=EPSILON_HALF if x.dtype is torch.float16 else EPSILON)


def mse(raw: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over B and D of the **raw** prediction.

    On unit vectors it is ``2 (1 - cosine) / D``. The optimum over raw P is lower than over Q, so this training loss and
    a validation loss on normalised predictions are different quantities.
    """
    return F.mse_loss(raw, target)


def mse_and_slope(raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`mse` and its gradient [B, D] by ``raw``, without autograd."""
    difference = raw - target
    flat, scale = difference.view(-1), 1.0 / difference.numel()
    return torch.dot(flat, flat) * scale, difference.mul_(2.0 * scale)


def info_nce(prediction: Tensor, target: Tensor, tau: float = 0.07) -> Tensor:
    """InfoNCE with in-batch negatives, the **sum** of both directions (van den Oord et al. 2018; symmetric as in CLIP).

    ``CE(Q Y^T / tau, diagonal) + CE(Y Q^T / tau, diagonal)``. Chance is ``2 ln B``; a batch of one has no negatives and
    gives exactly 0. Adding a constant to a row of logits changes nothing in that direction, so a component that all
    targets share is invisible to it.

    Args:
        prediction: Q [B, D] at unit length.
        target: [B, D], normalised here.
        tau: temperature, > 0.
    """
    return symmetric_cross_entropy(prediction @ unit(target).T / tau)


def symmetric_cross_entropy(logits: Tensor) -> Tensor:
    """Cross-entropy of logits [B, B] against the diagonal along rows, plus the same along columns."""
    diagonal = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, diagonal) + F.cross_entropy(logits.T, diagonal)


def moment(raw: Tensor, target: Tensor) -> Tensor:
    """Squared distance of the batch's per-dimension mean and unbiased standard deviation, each averaged over D.

    Raises:
        InputError: fewer than two rows, whose unbiased standard deviation does not exist.
    """
    _need_spread("moment", raw)
    mean = (raw.mean(dim=0) - target.mean(dim=0)).square().mean()
    return mean + (raw.std(dim=0) - target.std(dim=0)).square().mean()


def variance(prediction: Tensor) -> Tensor:
    """Hinge ``mean_d relu(1 - std_b Q_d)`` on predictions at unit length (the term of VICReg, Bardes et al. 2022).

    Unit vectors in D dimensions have a mean standard deviation of at most ``sqrt(B / ((B - 1) D))``, so the hinge can
    never be satisfied: its value stays above ``1 - 1/sqrt(D)`` but for the factor of B, 0.964 at D = 768 (history 3).

    Raises:
        InputError: fewer than two rows, whose unbiased standard deviation does not exist.
    """
    _need_spread("variance", prediction)
    return F.relu(1.0 - prediction.std(dim=0)).mean()


def _need_spread(term: str, rows: Tensor) -> None:
    if len(rows) < 2:
        raise InputError(
            f"loss {term}",
            f"needs a batch of at least 2 rows, got {len(rows)}: one row has no standard deviation",
            fix="Choose a batch_size that leaves no batch of one.",
        )


@dataclass(frozen=True)
class Batch:
    """What a loss term may use: raw P, prediction Q, target Y, each [B, D], and the temperature."""

    raw: Tensor
    prediction: Tensor
    target: Tensor
    tau: float = 0.07


LOSSES: Mapping[str, Callable[[Batch], Tensor]] = dict(
    zip(
        TERMS,
        (
            lambda batch: mse(batch.raw, batch.target),
            lambda batch: info_nce(batch.prediction, batch.target, batch.tau),
            lambda batch: moment(batch.raw, batch.target),
            lambda batch: variance(batch.prediction),
        ),
        strict=True,
    )
)
NEEDS_TWO_ROWS = ("moment", "variance")

Terms = dict[str, tuple[float, Tensor]]


def compute_terms(weights: Mapping[str, float], batch: Batch) -> Terms:
    """``{name: (weight, unweighted value)}`` of the terms with a weight above 0; the others are not computed.

    Raises:
        InputError: a name that is no loss term.
    """
    for name in weights:
        if name not in LOSSES:
            raise InputError("loss", "no such loss term", key=f"run.loss.{name}", fix=nearest(name, LOSSES))
    return {name: (weight, LOSSES[name](batch)) for name, weight in weights.items() if weight > 0}


def weighted_total(terms: Terms) -> Tensor:
    """``sum(weight * value)`` in the order of the terms: the number that is optimised, and what the ledger must sum to.

    Raises:
        InputError: no terms.
    """
    if not terms:
        raise InputError("loss", "expected at least one term with a weight above 0, got none", key="run.loss")
    parts = [weight * value for weight, value in terms.values()]
    return torch.stack(parts).sum() if len(parts) > 1 else parts[0]


@dataclass
class Loss:
    """The loss of a batch, before its backward pass.

    Attributes:
        total: what is optimised. terms: as :func:`compute_terms` gives them. samples: what the means are over.
        metrics: other means of the batch, by name. probes: measurements taken on the way, by the name of the probe.
    """

    total: Tensor
    terms: Terms
    samples: int
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    probes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def backward(self, share: float = 1.0) -> None:
        """Adds the gradients of ``share * total`` to ``.grad``."""
        (self.total if share == 1.0 else share * self.total).backward()  # type: ignore[no-untyped-call]


def merged(parts: Sequence[Loss]) -> Loss:
    """The detached loss of a batch from those of its micro-batches, each weighted by its share of the samples."""
    samples = sum(part.samples for part in parts)
    shares = [part.samples / samples for part in parts]

    def mean(values: Sequence[Tensor]) -> Tensor:
        if len(values) == 1:
            return values[0].detach()
        return sum(
            (share * value.detach() for share, value in zip(shares, values, strict=True)), torch.zeros_like(values[0])
        )

    first = parts[0]
    terms = {name: (weight, mean([part.terms[name][1] for part in parts])) for name, (weight, _) in first.terms.items()}
    metrics = {name: mean([part.metrics[name] for part in parts]) for name in first.metrics}
    return Loss(mean([part.total for part in parts]), terms, samples, metrics, first.probes)
