"""Whether the model is what a language model must be: causal, pure in evaluation, rows apart, all of it learning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lvmcheck.run.recorder import Recorder
from lvmcheck.testing.evaluations import (
    batch_invariance,
    causality,
    parameter_gradients,
    purity,
    term_gradient_norms,
    untouched,
)
from models.cognate.memory import held_tokens
from models.cognate.model import Cognate
from models.cognate.specialisation import SPECIALISATIONS
from models.data.text.batches import TokenBatch
from models.losses import Loss
from models.runtime.eval_mode import eval_mode
from models.trainers.language_setup import LanguageSetup

LENGTH = 64  # positions of a row that are looked at


def before_training(setup: LanguageSetup, loss: Callable[[TokenBatch], Loss], rec: Recorder) -> None:
    """Everything that can be known before the first step; weights, buffers and random states stay as they are."""
    with untouched(setup.model):
        structure(setup, rec)
        gradients, terms = first_gradients(setup, loss)
    rec.evaluation("gradients", gradients, about="root mean square by parameter, first batch")
    rec.evaluation("term_gradients", terms, about="norm of each weighted term's gradient, first batch")


def after_training(setup: LanguageSetup, rec: Recorder) -> None:
    """The structure once more, of the present weights."""
    with untouched(setup.model):
        structure(setup, rec)
        rec.evaluation("specialisations", specialisations(setup), about="the same weights under each")


def structure(setup: LanguageSetup, rec: Recorder) -> None:
    """Reports causality, purity and independence of rows in evaluation mode, on validation text."""
    one, other = sample_rows(setup)
    with torch.no_grad(), eval_mode(setup.model) as model:

        def logits(tokens: Tensor) -> Tensor:
            found: Tensor = model(tokens).logits
            return found

        rec.evaluation("causality", causality(logits, one[:1], setup.params["vocab_size"]))
        rec.evaluation("purity", purity(model, logits, one, other))
        rec.evaluation("batch_invariance", batch_invariance(logits, one))


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


def first_gradients(
    setup: LanguageSetup, loss: Callable[[TokenBatch], Loss]
) -> tuple[dict[str, float], dict[str, float]]:
    """Of the first training batch: root mean square gradient of each parameter, and norm of each term's gradient."""
    cfg, model = setup.cfg, setup.model
    batches = setup.stages[0].batches(cfg.batch_size, seed=cfg.seed, epoch=1)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    model.train()
    first = loss(next(batches))
    return parameter_gradients(first.total, named), term_gradient_norms(first.terms, list(named.values()))
