"""The continuation of one prompt, token by token: what :func:`models.cognate.generate.generate` gives, as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from models.cognate.generate import check_request, drawn, padded, uniforms
from models.cognate.model import Cognate
from models.cognate.state import State


def stream(
    model: Cognate,
    prompt: Sequence[int],
    *,
    max_new: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: int | None = None,
) -> Iterator[int]:
    """Yields each token of the continuation, without ``stop``; the model must be in evaluation mode.

    Arguments are those of :func:`~models.cognate.generate.generate`. Whoever has seen enough closes the iterator.

    Raises:
        InputError: as generate, before the first token.
    """
    check_request(model, [prompt], max_new, temperature, top_p)
    return _tokens(model, prompt, max_new, temperature, top_p, seed, stop)


def _tokens(
    model: Cognate, prompt: Sequence[int], max_new: int, temperature: float, top_p: float, seed: int, stop: int | None
) -> Iterator[int]:
    device = model.token_embedding.weight.device
    tokens, _ = padded([prompt], device)
    draws = uniforms(1, max_new, seed) if temperature > 0.0 else None
    state: State | None = model.new_state(1)
    for index in range(max_new):
        with torch.inference_mode():  # never open while the caller holds a token
            output = model(tokens, state=state, early=index > 0)
            logits = model.head(output.hidden[:, -1]).float()
            if draws is None:
                tokens = logits.argmax(dim=1, keepdim=True)
            else:
                tokens = drawn(logits / temperature, top_p, draws[:, index].to(device)).unsqueeze(1)
        state, token = output.state, int(tokens)
        if token == stop:
            return
        yield token
