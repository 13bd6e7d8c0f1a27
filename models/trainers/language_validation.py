"""What a language run measures after each epoch, and once more from its checkpoints at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lvmcheck.run.recorder import Recorder
from models.cognate.objective import token_losses
from models.data.text.batches import TokenBatch
from models.runtime.eval_mode import eval_mode
from models.trainers.language_config import METRICS
from models.trainers.language_generate import answer_metrics, generations, questions, unanswered
from models.trainers.language_setup import LanguageSetup
from models.trainers.train_state import TrainState


@dataclass(frozen=True)
class Scored:
    """The N scored tokens of a data set, and what the model did at them.

    Attributes:
        losses: [N] cross-entropy in nats. steps: [N] where each halted, 1..S. ponder: [N] expected steps.
        probability: [N], mean over the steps of the probability to halt there. most: S.
        memory_norm: mean length of the memory after a row. gate: mean share of the backbone.
    """

    losses: Tensor
    steps: Tensor
    ponder: Tensor
    probability: Tensor
    most: int
    memory_norm: float
    gate: float

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats per scored token."""
        return float(self.losses.double().mean())


@torch.no_grad()
def score(setup: LanguageSetup, model: nn.Module, batches: Iterable[TokenBatch]) -> Scored:
    """The model in evaluation mode on all batches."""
    columns: list[Tensor] = []
    norms, gates, most = [], [], 0
    with eval_mode(model):
        for each in batches:
            batch = each.to(setup.device)
            with setup.precision():
                output = model(batch.tokens, segments=batch.segments)
                losses = token_losses(model, output, batch.targets)  # type: ignore[arg-type]
            counted = batch.targets >= 0
            probability = output.halt_probability.mean(dim=0)
            rows = (losses, output.halting_steps, output.ponder, probability, output.gate.mean(dim=2))
            columns.append(torch.stack([row[counted].float() for row in rows]).cpu())
            norms.append(output.memory.float().norm(dim=1).cpu())
            most = len(output.halt_weight)
    losses, steps, ponder, probability, gates = torch.cat(columns, dim=1)
    return Scored(losses, steps, ponder, probability, most, float(torch.cat(norms).mean()), float(gates.mean()))


def names(setup: LanguageSetup) -> tuple[str, ...]:
    """The metrics that every epoch of this run will have: terms that are not computed and sets without questions
    are left out.
    """
    terms = {f"train_{name}" for name, weight in setup.cfg.loss.items() if weight > 0}
    optional = {name for name in METRICS if name.startswith(("train_", "exact_match", "val_bits_per_byte_"))}
    texts = {f"val_bits_per_byte_{name}" for name in setup.data.held.counts if len(setup.data.held.counts) > 1}
    found = {"train_loss", "train_bits_per_byte", *terms, *texts, *answer_metrics(questions(setup))}
    return tuple(name for name in METRICS if name in found or name not in optional)


def validation_metrics(setup: LanguageSetup, state: TrainState, rec: Recorder) -> dict[str, float]:
    """The metrics of the epoch that has just been trained; probes and samples of it are reported on the way."""
    with state.validated() as model:
        val = score(setup, model, setup.data.validation(setup.cfg.eval_batch_size))
        rec.probe("halting", halting(val))
        texts = continuation_bits(setup, model)
        able = math.isfinite(val.loss)  # from other weights nothing can be generated
        answered = generations(setup, model, state.progress.epoch, rec) if able else unanswered(setup)
    trained = state.progress.sums.means()
    return {
        **trained,
        "train_bits_per_byte": bits_per_byte(setup, trained["train_loss"]),
        "val_loss": val.loss,
        "val_perplexity": math.exp(val.loss) if val.loss < 700 else math.inf,
        "val_bits_per_byte": bits_per_byte(setup, val.loss),
        **texts,
        **answered,
        "halting_mean": float(val.steps.mean()),
        "halting_variance": float(val.steps.var()),
        "memory_norm": val.memory_norm,
        "gate_mean": val.gate,
        "lr": max(float(group["lr"]) for group in setup.optimizer.param_groups),
    }


def continuation_bits(setup: LanguageSetup, model: nn.Module) -> dict[str, float]:
    """Bits a byte of each set of texts that have no answer, where other sets stand beside it."""
    if len(setup.data.held.counts) < 2:
        return {}
    texts = setup.data.continuations(setup.cfg.eval_batch_size)
    return {
        f"val_bits_per_byte_{name}": score(setup, model, rows).loss / math.log(2) / size
        for name, (size, rows) in texts.items()
    }


def bits_per_byte(setup: LanguageSetup, nats: float) -> float:
    """Of a loss in nats per scored token, by the bytes a token of the validation set stands for."""
    return nats / math.log(2) / setup.data.bytes_per_token


def halting(val: Scored) -> dict[str, float]:
    """How long the model thinks about the scored validation tokens, and whether longer where it is harder."""
    shares = {f"share_{k}": float((val.steps == k).float().mean()) for k in range(1, val.most + 1)}
    correlation = spearman(val.ponder, val.losses)
    return {
        "mean": float(val.steps.mean()),
        "variance": float(val.steps.var()),
        "p_variance": float(val.probability.var()),
        "tokens": float(len(val.steps)),
        "max": float(val.most),
        **shares,
        **({} if correlation is None else {"loss_correlation": correlation}),
    }


def spearman(one: Tensor, other: Tensor) -> float | None:
    """Rank correlation of two columns [N], ties at their mean rank; None where a column is constant."""
    a, b = (ranks(column) for column in (one, other))
    a, b = a - a.mean(), b - b.mean()
    scale = float(a.norm() * b.norm())
    return float(a @ b) / scale if scale > 0 else None


def ranks(column: Tensor) -> Tensor:
    """Rank of each value [N] in float64, equal values at the mean of their ranks."""
    _, index, count = torch.unique(column, return_inverse=True, return_counts=True)
    mean = count.cumsum(0).double() - (count.double() - 1) / 2
    return torch.take(mean, index)
