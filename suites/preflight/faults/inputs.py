"""Faults in what the outputs depend on: inputs, masks, rows, later positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from suites.preflight import healthy
from suites.preflight.faults.registry import Net, broken, program
from suites.preflight.healthy import labelled


class TwoInputs(nn.Module):
    def __init__(self, used: bool) -> None:
        super().__init__()
        self.one, self.two, self.head, self.used = nn.Linear(10, 16), nn.Linear(3, 16), nn.Linear(16, 4), used

    def forward(self, x: Tensor, side: Tensor) -> Tensor:
        extra = self.two(side) if self.used else self.two(torch.ones_like(side))
        out: Tensor = self.head((self.one(x) + extra).tanh())
        return out


def two_inputs(used: bool = True) -> dict[str, Any]:
    x, y = labelled()
    return program(TwoInputs(used), batch=(x, torch.randn(24, 3), y))


@broken("inputs_matter", "tensor_ignored")
def side_input_not_used() -> dict[str, Any]:
    return two_inputs(used=False)


@broken("inputs_matter", "features_ignored")
def last_features_cut_off() -> dict[str, Any]:
    class Cuts(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * torch.tensor([1.0] * 8 + [0.0] * 2))

    return program(Cuts())


class Pooled(nn.Module):
    """Token classifier with a mask: mean over real positions."""

    def __init__(self, *, pool: str = "masked", attend: bool = True) -> None:
        super().__init__()
        self.embedding, self.head, self.pool, self.attend = nn.Embedding(24, 16), nn.Linear(16, 4), pool, attend
        self.block = healthy.Block(16, causal=False)

    def forward(self, tokens: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.block(self.embedding(tokens), attention_mask if self.attend else None)
        real = attention_mask[..., None].float() if self.pool == "masked" else torch.ones_like(x[..., :1])
        out: Tensor = self.head((x * real).sum(1) / real.sum(1))
        return out


def pooled(**options: Any) -> dict[str, Any]:
    lengths = torch.arange(16) % 6 + 5
    mask = (torch.arange(10) < lengths[:, None]).long()
    batch = {"tokens": torch.randint(1, 24, (16, 10)) * mask, "attention_mask": mask, "labels": torch.arange(16) % 4}
    return program(Pooled(**options), batch=batch)


@broken("mask_matters", "mask_ignored")
def mask_not_used() -> dict[str, Any]:
    return pooled(pool="all", attend=False)


@broken("padding_ignored", "padding_seen")
def padding_pooled() -> dict[str, Any]:
    return pooled(pool="all")


@broken("rows_independent", "other_rows_seen")
def normalised_over_the_batch() -> dict[str, Any]:
    class Normalised(Net):
        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            return (out - out.mean(0)) / out.std(0)

    return program(Normalised())


class WithoutBatchFirst(nn.Module):
    """A recurrent layer that takes the rows of the batch for time."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(6, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.rnn(x)[0][:, -1])
        return out


@broken("rows_independent", "other_rows_seen")
def recurrent_without_batch_first() -> dict[str, Any]:
    return program(WithoutBatchFirst(), batch=(torch.randn(12, 7, 6), torch.arange(12) % 4))


@broken("causal", "future_seen")
def no_causal_mask() -> dict[str, Any]:
    return healthy.language(causal=False)


@broken("target_shift", "shift")
def asked_for_its_input() -> dict[str, Any]:
    arguments = healthy.language()
    arguments["batch"] = (arguments["batch"][0], arguments["batch"][0])
    return arguments


@broken("target_shift", "shift")
def shifted_twice() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return healthy.next_token(output[:, :-1], target[:, 1:])

    return {**healthy.language(), "loss": loss}
