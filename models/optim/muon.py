"""Muon: momentum whose matrices are orthogonalised before the step (Jordan et al. 2024; Liu et al. 2025)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
_SMALLEST = 1e-7  # norm below which a gradient is not scaled up, as torch.optim.Muon has it


def orthogonalise(matrices: Tensor) -> Tensor:
    """The same singular vectors with singular values near 1, by five quintic Newton-Schulz steps.

    The polynomial trades accuracy for slope at zero: a singular value above 0.15 % of the Frobenius norm ends in
    [0.68, 1.21], a smaller one is multiplied by 485 at most. bfloat16 on CUDA; float32 on a CPU, where bfloat16 without
    matrix units is 20 to 60 times slower and the update would differ from one machine to the next.

    Args:
        matrices: [..., m, n], any orientation. A zero matrix stays zero, a matrix with a NaN becomes NaN.

    Returns:
        [..., m, n] in the type of ``matrices``.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).reshape(-1, *sorted(matrices.shape[-2:]))
    if matrices.is_cuda:
        x = x.bfloat16()
    elif matrices.dtype in (torch.bfloat16, torch.float16):
        x = x.float()
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=_SMALLEST)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.reshape(*matrices.shape[:-2], *x.shape[-2:])
    return (x.mT if tall else x).to(matrices.dtype)


def rms_matched(shape: Sequence[int]) -> float:
    """Factor on an orthogonal [m, n] that gives its entries a root mean square of 0.2, as an AdamW step has (Liu)."""
    return 0.2 * math.sqrt(max(shape))


def muon_step(
    params: Sequence[Tensor],
    gradients: Sequence[Tensor],
    momenta: Sequence[Tensor],
    *,
    lr: float,
    weight_decay: float,
    momentum: float,
    orthogonaliser: Callable[[Tensor], Tensor] = orthogonalise,
) -> None:
    """One step in place: Nesterov momentum, orthogonalised per matrix, weight decay decoupled.

    Matrices of one shape, tall or wide, are orthogonalised as one batch.
    """
    if not params:
        return
    torch._foreach_lerp_(list(momenta), list(gradients), 1.0 - momentum)
    directions = torch._foreach_lerp(list(gradients), list(momenta), momentum)
    torch._foreach_mul_(list(params), 1.0 - lr * weight_decay)
    for indices in _same_shape(directions):
        wide = torch.stack([_wide(directions[i]) for i in indices])
        updates = orthogonaliser(wide).unbind()
        turned = [u if params[i].shape == u.shape else u.mT for i, u in zip(indices, updates, strict=True)]
        torch._foreach_add_([params[i] for i in indices], turned, alpha=-lr * rms_matched(wide.shape[1:]))


def _wide(matrix: Tensor) -> Tensor:
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix


def _same_shape(matrices: Sequence[Tensor]) -> list[list[int]]:
    """Places of the matrices that can be stacked, by shape up to transposition, device and type."""
    found: dict[object, list[int]] = {}
    for index, matrix in enumerate(matrices):
        found.setdefault((*sorted(matrix.shape), matrix.device, matrix.dtype), []).append(index)
    return list(found.values())
