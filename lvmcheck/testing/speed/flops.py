"""Floating point operations of products, convolutions and attention, counted from what torch really executes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    conv_flop_count,
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
    shape_wrapper,
)

Shape = Sequence[int]
ATEN = torch.ops.aten


# -- what torch's own counter leaves out or counts wrongly -------------------------------------------------------------
def lstm_flops(x: Shape, w: Shape, recurrent: Shape, *_: object, **__: object) -> int:
    """One fused layer of oneDNN: x [T, B, in], w [4H, in], recurrent [4H, H]."""
    return 2 * prod(x[:-1]) * (prod(w) + prod(recurrent))


def lstm_backward_flops(x: Shape, w: Shape, recurrent: Shape, *_: object, **__: object) -> int:
    """The gradients of input, state and weights: each product of the forward pass twice."""
    return 2 * lstm_flops(x, w, recurrent)


def convolution_backward_flops(grad: Shape, x: Shape, w: Shape, *rest: Any, **_: object) -> int:
    """The forward pass once for each gradient asked for; torch 2.13 forgets that groups share no channels."""
    transposed, mask = rest[4], rest[7]
    forward = conv_flop_count(list(x), list(w), list(grad), transposed=transposed)
    return int(forward) * sum(map(int, mask[:2]))


def attention_flops(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    """Fused attention on a CPU: scores and mixture; the masked half of a causal one counts, as in torch's counter."""
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def attention_backward_flops(grad: Shape, query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    """Its gradients, the scores computed again included."""
    return int(sdpa_backward_flop_count(grad, query, key, value))  # type: ignore[no-untyped-call]


OURS: Mapping[Any, Callable[..., int]] = {
    ATEN.mkldnn_rnn_layer: lstm_flops,
    ATEN.mkldnn_rnn_layer_backward: lstm_backward_flops,
    ATEN.convolution_backward: convolution_backward_flops,
    ATEN._scaled_dot_product_flash_attention_for_cpu: attention_flops,
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward_flops,
}
FORMULAS = {**flop_registry, **{operator: shape_wrapper(formula) for operator, formula in OURS.items()}}  # type: ignore[no-untyped-call]


class Counter(TorchDispatchMode):
    """Inside, ``total`` grows by the operations of everything that runs: a multiplication and an addition are two.

    torch's own FlopCounterMode gives the same figures, but its first use imports torch._dynamo for 1.5 s.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and asking for dynamo imports it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=out))
        return out
