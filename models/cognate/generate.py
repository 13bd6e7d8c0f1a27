"""Continuations of prompts, greedy or sampled; a row does not depend on the rows beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lvmcheck.errors import InputError
from models.cognate.model import Cognate
from models.cognate.state import State


@torch.inference_mode()  # only lists leave it
def generate(
    model: Cognate,
    prompts: Sequence[Sequence[int]],
    *,
    max_new: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: int | None = None,
    cache: bool = True,
    early: bool = True,
) -> list[list[int]]:
    """The tokens that follow each prompt, without it and without ``stop``.

    The model is put in evaluation mode for it and left as it was. Prompts of different lengths are padded on their
    left, as a record of their own that nobody sees.

    Args:
        max_new: most tokens of one continuation.
        temperature: 0 takes the most probable token; else logits are divided by it and one is drawn.
        top_p: draws among the most probable tokens that together have this probability (Holtzman et al. 2020).
        seed: of the draws; row i draws the same whatever the others are.
        stop: token that ends a continuation.
        cache: whether earlier positions are kept in a state; without, each token costs a call on all of them.
        early: whether the steps of a new token after it has halted are left out (:mod:`models.cognate.early`), where
            there is a cache. Prompts are read in full: where they are not scored in training, nobody taught them when
            to halt.

    Raises:
        InputError: no prompt, an empty one, one that with ``max_new`` is longer than the model's positions, or an
            option out of range.
    """
    check_request(model, prompts, max_new, temperature, top_p)
    device = model.token_embedding.weight.device
    tokens, segments = padded(prompts, device)
    draws = uniforms(len(prompts), max_new, seed) if temperature > 0.0 else None
    done = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    training = model.training
    model.eval()
    try:
        state: State | None = model.new_state(len(prompts)) if cache else None
        new: list[Tensor] = []
        for index in range(max_new):
            output = model(tokens, segments=segments, state=state, early=early and cache and index > 0)
            logits = model.head(output.hidden[:, -1]).float()
            token = logits.argmax(dim=1)
            if draws is not None:
                token = drawn(logits / temperature, top_p, draws[:, index].to(device))
            new.append(token)
            if stop is not None:
                done |= token == stop
                if bool(done.all()):
                    break
            state = output.state
            tokens, segments = _continued(tokens, segments, token.unsqueeze(1), cache)
    finally:
        model.train(training)
    rows = torch.stack(new, dim=1).tolist()
    return [row[: row.index(stop)] if stop is not None and stop in row else row for row in rows]


def _continued(tokens: Tensor, segments: Tensor | None, more: Tensor, cache: bool) -> tuple[Tensor, Tensor | None]:
    """Tokens and segments of the next call after the tokens ``more`` [B, 1]: those alone where a cache has the rest."""
    ones = None if segments is None else torch.ones_like(more)
    if cache:
        return more, ones
    joined = None if segments is None or ones is None else torch.cat((segments, ones), dim=1)
    return torch.cat((tokens, more), dim=1), joined


def padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Tokens and segments [B, longest], each prompt at the right end as record 1 and padding before it.

    No segments where nothing is padded: the model then need not look for records.
    """
    longest = max(map(len, prompts))
    tokens = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], dtype=torch.int64)
    segments = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return tokens.to(device), segments.to(device) if min(map(len, prompts)) < longest else None


def uniforms(rows: int, steps: int, seed: int) -> Tensor:
    """[rows, steps] in [0, 1); a row depends on its index and the seed alone."""
    streams = [torch.Generator().manual_seed((seed * 1_000_003 + row) % (1 << 63)) for row in range(rows)]
    return torch.stack([torch.rand(steps, generator=stream, dtype=torch.float64) for stream in streams])


def drawn(logits: Tensor, top_p: float, uniform: Tensor) -> Tensor:
    """One token [B] by logits [B, V]: the inverse of the cumulative distribution at ``uniform`` [B] in [0, 1).

    Only the fewest most probable tokens that reach ``top_p`` together can be drawn.
    """
    probability, order = logits.double().softmax(dim=1).sort(dim=1, descending=True, stable=True)
    reached = probability.cumsum(dim=1)
    kept = probability * (reached - probability < top_p)
    reached = kept.cumsum(dim=1)
    place = torch.searchsorted(reached, uniform.to(reached).unsqueeze(1) * reached[:, -1:], right=True)
    last = (kept > 0.0).sum(dim=1, keepdim=True) - 1
    return order.gather(1, place.minimum(last)).squeeze(1)


def check_request(
    model: Cognate, prompts: Sequence[Sequence[int]], max_new: int, temperature: float, top_p: float
) -> None:
    """Raises InputError when the model cannot continue these prompts so."""
    if not prompts:
        raise InputError("generate", "expected at least one prompt, got none")
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise InputError("generate", f"expected at least one token, prompt {index} has none")
        if len(prompt) + max_new > model.max_length:
            problem = f"prompt {index} of {len(prompt)} tokens and {max_new} new ones do not fit in {model.max_length}"
            raise InputError("generate", problem, key="run.model.max_length", fix="Shorten it or ask for fewer.")
    if max_new < 1:
        raise InputError("generate", f"expected at least 1 new token, got {max_new}", key="max_new")
    if not 0.0 <= temperature < float("inf"):
        raise InputError("generate", f"expected a temperature of at least 0, got {temperature}", key="temperature")
    if not 0.0 < top_p <= 1.0:
        raise InputError("generate", f"expected more than 0 and at most 1, got {top_p}", key="top_p")
