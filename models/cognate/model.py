"""The Cognate language model: attention backbone, long-term memory, memory gate, recursion, halting (history 9)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lvmcheck.errors import InputError
from models.cognate.blocks import EPS, Layer
from models.cognate.early import refine_early
from models.cognate.gate import MemoryGate
from models.cognate.halting import HaltingHead
from models.cognate.init_weights import init_weights
from models.cognate.layout import Layout, advanced, lay_out
from models.cognate.linear import linear
from models.cognate.memory import LongTermMemory
from models.cognate.output import CognateOutput, expected_hidden, halted_hidden
from models.cognate.recursion import Recursion
from models.cognate.specialisation import get_specialisation
from models.cognate.state import KeyValue, MemoryState, State
from models.lvm.parts.vector_model import check_divides, check_dropout

_LEAST = {"recursion_steps": 2}  # with one step there would be nothing to halt


class Cognate(nn.Module):
    """Next-token logits [B, T, V] from tokens [B, T]; causal, each row and each packed record by itself.

    25,623,681 parameters at the defaults and 50,257 tokens, the "25.6M" of its documents.

    Args:
        vocab_size: V. d_model: d, a multiple of ``head_dim`` and of ``trm_heads``. layers: of the backbone.
        d_ff: inner width of SwiGLU. d_mem: values the memory holds. head_dim: width of a backbone head.
        window: positions a query sees, its own included. max_length: positions that have an embedding.
        recursion_steps: S, the most a token may take. micro_steps: latent updates in each. trm_heads: of the recursion.
        dropout: share of values dropped while training.
        rotary: whether backbone layers see how far apart tokens are, beside where each stands.
        specialisation: a name of :data:`models.cognate.specialisation.SPECIALISATIONS`.
        memory_capacity, surprise_threshold, halting_threshold: in place of the specialisation's.

    Raises:
        InputError: an unknown specialisation, a size below 1, or sizes that do not divide.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 256,
        layers: int = 10,
        d_ff: int = 1024,
        d_mem: int = 128,
        head_dim: int = 64,
        window: int = 1024,
        max_length: int = 2048,
        recursion_steps: int = 3,
        micro_steps: int = 2,
        trm_heads: int = 8,
        dropout: float = 0.0,
        rotary: bool = False,
        specialisation: str = "reasoning",
        memory_capacity: int | None = None,
        surprise_threshold: float | None = None,
        halting_threshold: float | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(
            {
                "vocab_size": vocab_size,
                "d_model": d_model,
                "layers": layers,
                "d_ff": d_ff,
                "d_mem": d_mem,
                "head_dim": head_dim,
                "window": window,
                "max_length": max_length,
                "recursion_steps": recursion_steps,
                "micro_steps": micro_steps,
                "trm_heads": trm_heads,
            }
        )
        heads = check_divides(self, "head_dim", head_dim, "d_model", d_model)
        check_divides(self, "trm_heads", trm_heads, "d_model", d_model)
        check_dropout(self, dropout)
        self.specialisation = get_specialisation(
            specialisation,
            memory_capacity=memory_capacity,
            surprise_threshold=surprise_threshold,
            halting_threshold=halting_threshold,
        )
        self.window, self.max_length = window, max_length
        self.checkpointing = False  # whether layers keep only their input and are computed again backwards
        self.token_embedding = nn.Embedding(vocab_size, d_model)
        self.position_embedding = nn.Embedding(max_length, d_model)
        self.layers = nn.ModuleList(Layer(d_model, heads, d_ff, dropout, rotary=rotary) for _ in range(layers))
        self.norm = nn.RMSNorm(d_model, eps=EPS)
        self.memory = LongTermMemory(d_model, d_mem)
        self.gate = MemoryGate(d_model, d_mem)
        self.recursion = Recursion(d_model, trm_heads, recursion_steps, micro_steps, dropout)
        self.halting = HaltingHead(d_model, recursion_steps, math.log(vocab_size))
        init_weights(self)
        self.halting.init_weights()

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.token_embedding.num_embeddings

    def specialise(self, name: str) -> None:
        """From now on reads depth and memory as that specialisation does; the weights stay.

        Raises:
            InputError: no such specialisation.
        """
        self.specialisation = get_specialisation(name)

    def new_state(self, batch: int) -> State:
        """The state of ``batch`` streams before their first token."""
        like = self.token_embedding.weight
        places = len(self.layers) + 1 + self.recursion.steps
        return State.empty(batch, places, MemoryState.empty(batch, self.memory.width, like))

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., d], with the token embedding's own weights."""
        return linear(hidden, self.token_embedding.weight)

    def forward(
        self, tokens: Tensor, *, segments: Tensor | None = None, state: State | None = None, early: bool = False
    ) -> CognateOutput:
        """One call on tokens [B, T] int64.

        Args:
            segments: [B, T] int64, the packed record of each position, 0 for padding; None when all is one record.
            state: of the positions before; the output then holds the next one.
            early: whether a token that has halted stays as it is and its later steps are not computed
                (:mod:`models.cognate.early`); of no effect in training mode, where every step learns.

        Raises:
            InputError: tokens of another shape or type or outside of the vocabulary, a record that is too long.
        """
        _check_tokens(tokens, self.vocab_size)
        layout = lay_out(tokens, segments, state, window=self.window, longest=self.max_length)
        depth = len(self.layers)
        past = (None,) * (depth + 1 + self.recursion.steps) if state is None else state.caches
        y, keys = self.backbone(tokens, layout, past[:depth])
        reading = self.memory(y, layout, self.specialisation, None if state is None else state.memory)
        features, gate = self.gate(y, reading.read)
        if early and not self.training:
            threshold = self.specialisation.halting_threshold
            refined = refine_early(self.recursion, self.halting, threshold, features, layout, past[depth:])
        else:
            refined = self.recursion(features, layout, past[depth:])
        halting = self.halting(refined.latents)
        steps = halting.steps(self.specialisation.halting_threshold)
        answers = refined.answers
        return CognateOutput(
            head=self.head,
            hidden=expected_hidden(answers, halting.weight) if self.training else halted_hidden(answers, steps),
            step_hidden=answers,
            halt_probability=halting.probability,
            halt_weight=halting.weight,
            halting_steps=steps,
            ponder=halting.ponder,
            gate=gate,
            write=reading.write,
            memory=reading.state.content,
            state=None
            if state is None
            else advanced(state, layout, (*keys, *refined.keys), reading.state, self.window),
        )

    def backbone(
        self, tokens: Tensor, layout: Layout, past: tuple[KeyValue | None, ...]
    ) -> tuple[Tensor, list[KeyValue]]:
        """Normed features [B, T, d], and each layer's keys and values."""
        x = self.token_embedding(tokens) + self.position_embedding(layout.positions)
        keys = []
        for layer, before in zip(self.layers, past, strict=True):
            if self.checkpointing and self.training:
                x, own = checkpoint(layer, x, layout, before, use_reentrant=False)
            else:
                x, own = layer(x, layout, before)
            keys.append(own)
        return self.norm(x), keys


def _check_sizes(sizes: dict[str, int]) -> None:
    for name, value in sizes.items():
        least = _LEAST.get(name, 1)
        if value < least:
            raise InputError("model cognate", f"expected at least {least}, got {value}", key=f"run.model.{name}")


def _check_tokens(tokens: Tensor, vocabulary: int) -> None:
    if tokens.ndim != 2 or tokens.dtype != torch.int64 or 0 in tokens.shape:
        raise InputError(
            "model cognate", f"expected tokens [B, T >= 1] of int64, got {list(tokens.shape)} of {tokens.dtype}"
        )
    if torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return
    low, high = (int(bound) for bound in tokens.aminmax())  # on CUDA a token out of range would end the process
    if low < 0 or high >= vocabulary:
        raise InputError(
            "model cognate",
            f"expected tokens from 0 to {vocabulary - 1}, got {low if low < 0 else high}",
            key="run.model.vocab_size",
            fix="The tokenizer and the model must have the same vocabulary.",
        )
