"""Whether the model is what a language model must be: causal, pure in evaluation, rows apart, all of it learning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lvmcheck.run.recorder import Recorder
from models.cognate.memory import held_tokens
from models.cognate.model import Cognate
from models.cognate.specialisation import SPECIALISATIONS
from models.data.text.batches import TokenBatch
from models.losses import Loss
from models.runtime.eval_mode import eval_mode
from models.trainers.language_setup import LanguageSetup
from models.trainers.probes import term_gradient_norms

POSITIONS = 8  # where a token is exchanged
LENGTH = 64  # positions of a row that are looked at


def before_training(setup: LanguageSetup, loss: Callable[[TokenBatch], Loss], rec: Recorder) -> None:
    """Everything that can be known before the first step; weights, buffers and random states stay as they are."""
    with untouched(setup):
        structure(setup, rec)
        gradients, terms = first_gradients(setup, loss)
    rec.evaluation("gradients", gradients, about="root mean square by parameter, first batch")
    rec.evaluation("term_gradients", terms, about="norm of each weighted term's gradient, first batch")


def after_training(setup: LanguageSetup, rec: Recorder) -> None:
    """The structure once more, of the present weights."""
    with untouched(setup):
        structure(setup, rec)
        rec.evaluation("specialisations", specialisations(setup), about="the same weights under each")


def structure(setup: LanguageSetup, rec: Recorder) -> None:
    """Reports causality, purity and independence of rows in evaluation mode, on validation text."""
    one, other = sample_rows(setup)
    with torch.no_grad(), eval_mode(setup.model) as model:
        rec.evaluation("causality", causality(model, one[:1], setup.params["vocab_size"]))
        rec.evaluation("purity", purity(model, one, other))
        rec.evaluation("batch_invariance", batch_invariance(model, one))


def sample_rows(setup: LanguageSetup) -> tuple[Tensor, Tensor]:
    """Two different batches of tokens [R, T], without padding's end where the data allow."""
    batch = next(setup.data.validation(8))
    tokens = batch.tokens[:, :LENGTH].to(setup.device)
    half = max(1, len(tokens) // 2)
    return tokens[:half], (tokens[half:] if len(tokens) > half else tokens.flip(1))


@torch.no_grad()
def specialisations(setup: LanguageSetup) -> dict[str, float]:
    """Mean halting step and number of tokens that the memory holds, of the same weights under each specialisation."""
    found: dict[str, float] = {}
    tokens = torch.cat(sample_rows(setup))
    with eval_mode(setup.model) as model:
        assert isinstance(model, Cognate)
        own = model.specialisation
        for name in SPECIALISATIONS:
            model.specialise(name)
            output = model(tokens)
            found[f"{name}/halting_mean"] = float(output.halting_steps.double().mean())
            found[f"{name}/memory_use"] = float(held_tokens(output.write, model.specialisation).mean())
        model.specialisation = own
    return found


def causality(model: nn.Module, tokens: Tensor, vocabulary: int) -> dict[str, float]:
    """Exchanges single tokens of one row [1, T]: logits before them must not change, those from there on must.

    All variants are rows of one call, so that a state kept between calls is no part of the answer.
    """
    length = tokens.shape[1]
    positions = sorted(
        {max(1, round((k + 1) * (length - 1) / POSITIONS)) for k in range(POSITIONS)} & set(range(1, length))
    )
    rows = tokens.repeat(1 + len(positions), 1)
    for row, position in enumerate(positions, 1):
        rows[row, position] = (rows[row, position] + 1) % vocabulary
    logits = model(rows).logits.float()
    change = (logits[1:] - logits[:1]).abs().amax(dim=2)
    before = max(float(change[row, :position].max()) for row, position in enumerate(positions))
    after = min(float(change[row, position:].max()) for row, position in enumerate(positions))
    return {"max_change_before": before, "change_after": after, "positions": float(len(positions))}


def purity(model: nn.Module, one: Tensor, other: Tensor) -> dict[str, float]:
    """Whether evaluating leaves anything behind: the same batch twice, two batches in both orders, all tensors."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, again = model(one).logits.float(), model(one).logits.float()
    model(other)
    after_other = model(one).logits.float()
    changed = sum(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return {
        "repeat_difference": float((first - again).abs().max()),
        "order_difference": float((again - after_other).abs().max()),
        "state_changed": float(changed),
    }


def batch_invariance(model: nn.Module, tokens: Tensor) -> dict[str, float]:
    """Largest difference of a row's logits alone and beside the others [R, T]."""
    together = model(tokens).logits.float()
    alone = torch.cat([model(row).logits.float() for row in torch.split(tokens, 1)])
    return {"max_difference": float((together - alone).abs().max())}


def first_gradients(
    setup: LanguageSetup, loss: Callable[[TokenBatch], Loss]
) -> tuple[dict[str, float], dict[str, float]]:
    """Of the first training batch: root mean square gradient of each parameter, and norm of each term's gradient."""
    cfg, model = setup.cfg, setup.model
    batches = setup.stages[0].batches(cfg.batch_size, seed=cfg.seed, epoch=1)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    model.train()
    first = loss(next(batches))
    found = torch.autograd.grad(first.total, list(named.values()), retain_graph=True, allow_unused=True)
    gradients = {
        name: 0.0 if gradient is None else float(gradient.square().mean().sqrt())
        for name, gradient in zip(named, found, strict=True)
    }
    return gradients, term_gradient_norms(first.terms, list(named.values()))


@contextmanager
def untouched(setup: LanguageSetup) -> Iterator[None]:
    """Puts buffers, modes and random states back afterwards: a probe changes nothing about the run it looks at."""
    model = setup.model
    modes = [(module, module.training) for module in model.modules()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    devices = [setup.device] if setup.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    buffer.copy_(buffers[name])
            for module, training in modes:
                module.training = training
