"""Faults of the original project's data code (history 12, 13, 16), which the real data code has no option for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from lvmcheck.errors import InputError
from models.data.text.batches import TokenBatch
from models.data.text.curriculum import StageData, StageSpec
from models.data.text.dataset import TextData, open_text


def labels_not_shifted(batch: TokenBatch) -> TokenBatch:
    """Every position is asked for its own token, which it can copy from its input."""
    real = batch.segments > 0
    return replace(batch, targets=torch.where(real, batch.tokens, batch.targets))


def padding_counted(batch: TokenBatch) -> TokenBatch:
    """Every padding position is asked for padding: there was no ``ignore_index``, and padding is easy."""
    padding = batch.segments == 0
    return replace(batch, targets=torch.where(padding, batch.tokens, batch.targets), scored=batch.targets.numel())


def validation_is_training(data: TextData) -> TextData:
    """``val_datasets = datasets``, as in two of the original project's three training scripts."""
    return replace(data, held=data.train)


def open_dropping(config: Mapping[str, object], *, seed: int) -> TextData:
    """Opens the sets that can be opened and says nothing of the others: 8 of the original project's 14 went that
    way."""
    wanted = config["sets"]
    assert isinstance(wanted, Sequence)
    there = []
    for name in wanted:
        try:
            open_text({**config, "sets": [name]}, seed=seed)
        except InputError:
            continue
        there.append(name)
    data = open_text({**config, "sets": there}, seed=seed)
    return replace(data, config=data.config.model_copy(update={"sets": list(wanted)}))


def stage_dropping(data: TextData, spec: StageSpec) -> StageData:
    """A stage over those of its sets that happen to be there: "advanced" became "reasoning" under another name."""
    return data.stage(replace(spec, sets=tuple(name for name in spec.sets or () if name in data.train.counts)))
