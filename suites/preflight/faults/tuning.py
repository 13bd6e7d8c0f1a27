"""Faults of fine-tuning: label masks and adapters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from suites.preflight import healthy
from suites.preflight.faults.registry import broken, program

END = 2


def tuned(labels: str = "answers", rows: int = 6) -> dict[str, Any]:
    """Prompts of 4 tokens, answers of 3 to 5, an end token, padding; the labels are those of the input."""
    lengths = torch.arange(rows) % 3 + 8
    where = torch.arange(12)
    tokens = torch.randint(3, healthy.VOCABULARY, (rows, 12))
    tokens[where == lengths[:, None] - 1] = END
    mask = (where < lengths[:, None]).long()
    tokens = tokens * mask
    learned = {
        "answers": (where >= 4) & (mask == 1),
        "none": torch.zeros(rows, 12, dtype=torch.bool),
        "padding": (where >= 4).expand(rows, 12),
        "no_end": (where >= 4) & (mask == 1) & (tokens != END),
    }[labels]
    batch = {"tokens": tokens, "attention_mask": mask, "labels": tokens.where(learned, -100)}

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        output = model(batch["tokens"], batch["attention_mask"])
        return healthy.next_token(output[:, :-1], batch["labels"][:, 1:])

    return program(healthy.Language(), loss, batch)


@broken("label_mask", "all_ignored")
def all_labels_ignored() -> dict[str, Any]:
    return tuned("none")


@broken("label_mask", "padding_learned")
def padding_learned() -> dict[str, Any]:
    return tuned("padding")


@broken("label_mask", "end_token_ignored")
def end_token_never_learned() -> dict[str, Any]:
    return tuned("no_end")


@broken("adapters_train", "base_moves")
def base_not_frozen() -> dict[str, Any]:
    return healthy.lora(freeze=False)


@broken("adapters_train", "adapter_still")
def adapters_not_in_the_optimizer() -> dict[str, Any]:
    model = healthy.Lora()
    return program(model, optimizer=torch.optim.Adam(model.head.parameters()))


@broken("adapters_train", "no_effect")
def adapters_switched_off() -> dict[str, Any]:
    model = healthy.Lora(scale=0.0)
    model.head.requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], weight_decay=0.1)
    for layer in (model.first, model.second):
        nn.init.normal_(layer.lora_B)
    return program(model, optimizer=optimizer)
