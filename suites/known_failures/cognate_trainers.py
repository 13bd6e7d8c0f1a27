"""Language trainers that repeat one fault of the original project each, which the real trainer has no option for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck.run.recorder import Recorder
from models.cognate.objective import language_terms
from models.cognate.output import CognateOutput
from models.data.text.batches import TokenBatch, TokenSet
from models.data.text.dataset import TextData, open_text
from models.optim.factory import build
from models.trainers import language, language_setup, language_validation
from models.trainers.language_setup import LanguageSetup
from suites.known_failures import cognate_data as data
from suites.known_failures import cognate_models as models
from suites.known_failures import cognate_optimizers as optimizers

CONSTANT = 2.5
"""What the original project's trainer returned as the validation loss of every epoch where it was given no validation
set."""


def _train(config: dict[str, Any], rec: Recorder, *faults: Any) -> None:
    """The real trainer with parts of it replaced."""
    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(fault)
        language.train(config, rec)


# -- what is measured --------------------------------------------------------------------------------------------------
def hard_coded_validation(config: dict[str, Any], rec: Recorder) -> None:
    """The validation loss is a constant, and so is everything that is computed from it."""
    real = language_validation.validation_metrics

    def measure(setup: LanguageSetup, *rest: Any) -> dict[str, float]:
        constant = {"val_loss": CONSTANT, "val_perplexity": math.exp(CONSTANT)}
        bits = language_validation.bits_per_byte(setup, CONSTANT)
        return {**real(setup, *rest), **constant, "val_bits_per_byte": bits}

    _train(config, rec, mock.patch.object(language_validation, "validation_metrics", measure))


def variance_of_one(config: dict[str, Any], rec: Recorder) -> None:
    """The variance of halting is taken over the rows of the last batch: of one row it is not a number."""
    halting, measure = language_validation.halting, language_validation.validation_metrics
    logged: list[float] = []

    def of_last_batch(val: language_validation.Scored) -> dict[str, float]:
        rows = val.steps.mean().reshape(1)  # a mean number of steps for each row of the last batch, which has one
        logged.append(float(rows.var()))
        return {**halting(val), "variance": logged[-1], "tokens": float(len(rows))}

    def measured(*args: Any) -> dict[str, float]:
        return {**measure(*args), "halting_variance": logged[-1]}

    patched = mock.patch.multiple(language_validation, halting=of_last_batch, validation_metrics=measured)
    _train(config, rec, patched)


# -- data --------------------------------------------------------------------------------------------------------------
def _opening(change: Callable[[TextData], TextData]) -> Any:
    return mock.patch.object(language_setup, "open_text", lambda *args, **more: change(open_text(*args, **more)))


def validation_is_training(config: dict[str, Any], rec: Recorder) -> None:
    """``val_datasets = datasets``."""
    _train(config, rec, _opening(data.validation_is_training))


def sets_dropped(config: dict[str, Any], rec: Recorder) -> None:
    """Data sets that are not there are left out in silence, of the data and of every stage."""
    opened = mock.patch.object(language_setup, "open_text", data.open_dropping)
    staged = mock.patch.object(TextData, "stage", _stage_dropping)
    _train(config, rec, opened, staged)


_STAGE = TextData.stage


def _stage_dropping(self: TextData, spec: Any) -> Any:
    if spec.sets is None:
        return _STAGE(self, spec)
    with mock.patch.object(TextData, "stage", _STAGE):
        return data.stage_dropping(self, spec)


def labels_not_shifted(config: dict[str, Any], rec: Recorder) -> None:
    """Each position is asked for its own token, and padding is scored as well."""
    _train(config, rec, _gathering(lambda batch: data.padding_counted(data.labels_not_shifted(batch))))


def padding_counted(config: dict[str, Any], rec: Recorder) -> None:
    """Padding is scored: most of what is asked for is padding."""
    _train(config, rec, _gathering(data.padding_counted))


def _gathering(change: Callable[[TokenBatch], TokenBatch]) -> Any:
    """Batches padded to the full length, as the original project's were, and changed."""
    gather = TokenSet._gather

    def spoiled(self: TokenSet, *args: Any) -> TokenBatch:
        batch = gather(self, *args)
        more = (0, self.length - batch.tokens.shape[1])
        fills = ((batch.tokens, self.pad), (batch.targets, -100), (batch.segments, 0))
        tokens, targets, segments = (F.pad(part, more, value=fill) for part, fill in fills)
        return change(replace(batch, tokens=tokens, targets=targets, segments=segments))

    return mock.patch.object(TokenSet, "_gather", spoiled)


# -- the model ---------------------------------------------------------------------------------------------------------
def no_causal_mask(config: dict[str, Any], rec: Recorder) -> None:
    """Every attention looks both ways."""
    _train(config, rec, *models.no_causal_mask())


def memory_between_batches(config: dict[str, Any], rec: Recorder) -> None:
    """The memory is a buffer that every call overwrites with the mean over its batch."""
    _train(config, rec, *models.memory_between_batches())


def dead_halting_head(config: dict[str, Any], rec: Recorder) -> None:
    """The ponder term is the mean of integer halting steps, and only the last step's loss is optimised."""

    def terms(
        model: nn.Module, output: CognateOutput, targets: Tensor, weights: Mapping[str, float]
    ) -> dict[str, tuple[float, Tensor]]:
        return language_terms(model, models.without_halting(output), targets, weights)  # type: ignore[arg-type]

    _train(config, rec, mock.patch.object(language, "language_terms", terms))


def frozen_halting_head(config: dict[str, Any], rec: Recorder) -> None:
    """The halting head has requires_grad = False."""
    _train(config, rec, *models.head(models.FrozenHead))


def halting_head_under_no_grad(config: dict[str, Any], rec: Recorder) -> None:
    """The halting head is computed under no_grad."""
    _train(config, rec, *models.head(models.HeadWithoutGradient))


def detached_halting_head(config: dict[str, Any], rec: Recorder) -> None:
    """The halting distribution is detached before the loss."""
    _train(config, rec, *models.head(models.DetachedHead))


# -- the optimizer -----------------------------------------------------------------------------------------------------
def _optimizer(faulty: type[optimizers.MuGrokfast]) -> Any:
    return mock.patch.object(language_setup, "build_optimizer", partial(build, mugrokfast=faulty))


def halting_head_outside_optimizer(config: dict[str, Any], rec: Recorder) -> None:
    """The optimizer is made from all parameters but those of the halting head."""

    def without_head(model: nn.Module, *args: Any, **more: Any) -> Any:
        optimizer = build(model, *args, **more)
        left_out = {id(p) for p in model.halting.parameters()}  # type: ignore[union-attr, operator]
        for group in optimizer.param_groups:
            group["params"] = [p for p in group["params"] if id(p) not in left_out]
        return optimizer

    _train(config, rec, mock.patch.object(language_setup, "build_optimizer", without_head))


def rates_not_wired(config: dict[str, Any], rec: Recorder) -> None:
    """The schedule changes what is logged; the optimizer steps with the rates it was made with."""
    _train(config, rec, _optimizer(optimizers.LearningRatesNotWired))


def reversed_filter(config: dict[str, Any], rec: Recorder) -> None:
    """Grokfast's filter boosts fast gradients instead of slow ones."""
    _train(config, rec, _optimizer(optimizers.ReversedGrokfast))


def wrong_order(config: dict[str, Any], rec: Recorder) -> None:
    """Newton and Schulz's iteration with its operands in the wrong order: no update is orthogonal."""
    _train(config, rec, _optimizer(optimizers.WrongOrderNewtonSchulz))
