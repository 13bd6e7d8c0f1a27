"""Refinement that ends where a token halts: the steps it does not take are not computed.

A token that has halted keeps latent and answer as they are; to later tokens that think longer it shows, in the steps
it did not take, the keys of the answer it stopped at (as in Elbayad et al. 2020, Depth-adaptive transformer). In
training every step of every token is computed, so that all of them learn: there a later token sees keys that the early
one would have had. With three steps the two differ only where a third step looks at a token that stopped at the first.

Rows are left out as soon as each of their tokens has halted, which in a stream of single tokens is at once. What a row
gives does not depend on the rows beside it, nor on how its tokens are divided into calls.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.cognate.attention import joined
from models.cognate.halting import HaltingHead
from models.cognate.layout import Layout
from models.cognate.recursion import Recursion, Refined
from models.cognate.state import KeyValue


def refine_early(
    recursion: Recursion,
    head: HaltingHead,
    threshold: float,
    features: Tensor,
    layout: Layout,
    past: Sequence[KeyValue | None],
) -> Refined:
    """As :meth:`Recursion.forward`, with each token stopped where its probability of having halted reaches threshold.

    Args:
        features: [B, T, d]. past: the S + 1 keys of earlier positions.
    """
    z = recursion.latent(features)
    y = recursion.answer(z)
    keys = [recursion.to_features.keys(features, past[0])]
    own = recursion.to_answer.own_keys(y)
    running = torch.ones_like(head.probability(z))  # probability of not having halted yet
    going = torch.ones_like(running, dtype=torch.bool)
    answers, latents = [], []
    for step in range(recursion.steps):
        keys.append(joined(past[1 + step], own))
        rows = going.any(dim=1).nonzero().squeeze(1)
        if len(rows):
            new_z, new_y = _refined_rows(recursion, z, y, (keys[0], keys[-1]), layout, rows)
            z, y = (torch.where(going.unsqueeze(2), new, old) for new, old in ((new_z, z), (new_y, y)))
            running = torch.where(going, running * (1.0 - head.probability(z)), running)
            going = going & (running > 1.0 - threshold)
            if step + 1 < recursion.steps:
                own = recursion.to_answer.own_keys(y)
        answers.append(y)
        latents.append(z)
    return Refined(tuple(answers), tuple(latents), tuple(keys))


def _refined_rows(
    recursion: Recursion, z: Tensor, y: Tensor, keys: tuple[KeyValue, KeyValue], layout: Layout, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of the ``rows`` [R] of z and y [B, T, d]; the others are handed through."""
    if len(rows) == len(z):
        return recursion.refine(z, y, *keys, layout)
    of_features, of_answers = ((key[rows], value[rows]) for key, value in keys)
    new_z, new_y = recursion.refine(z[rows], y[rows], of_features, of_answers, layout.of_rows(rows))
    return z.index_copy(0, rows, new_z), y.index_copy(0, rows, new_y)
