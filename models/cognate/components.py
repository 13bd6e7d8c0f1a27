"""How many parameters each part of the model has: the embeddings are half of it at a vocabulary of 50,257."""

from __future__ import annotations

from torch import nn

from models.cognate.model import Cognate


def components(model: Cognate) -> dict[str, int]:
    """Number of parameters by component; the head is the token embedding and counts there, so they sum to the total."""
    parts: dict[str, tuple[nn.Module, ...]] = {
        "embedding": (model.token_embedding,),
        "position": (model.position_embedding,),
        "backbone": (model.layers, model.norm),
        "memory": (model.memory,),
        "gate": (model.gate,),
        "recursion": (model.recursion,),
        "halting": (model.halting,),
    }
    return {name: sum(p.numel() for part in of for p in part.parameters()) for name, of in parts.items()}
