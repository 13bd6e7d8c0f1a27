"""Gradients and parameters around a step: who gets a gradient, who moves, and by how much."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.elements import elements, lengths, rms_by_tensor
from lvmcheck.watch.measure.local import gradient, local
from lvmcheck.watch.measure.modules import depth_order, leaves, may_be_unused, tied, useless_biases, whole_branches
from lvmcheck.watch.measure.norms import norms
from lvmcheck.watch.slot import Slot

STILL = 3
"""Measured steps in a row in which a parameter does not move."""
DEAF = 5
"""Measured steps in a row in which a parameter gets no gradient."""
NEGLIGIBLE = 1e-6
"""Gradient times rate over the weight, below which float32 may well round the update away."""
SMALL = 0.3
"""Root mean square of weights over 1 / sqrt(inputs), below which they began small and are expected to leap."""
TABLE = 0.1
"""The same of the rows of an embedding, whose usual size is 1."""
ROUNDING = 1e-6
"""Norm of the old gradient over that of the new one, below which it was cleared."""


class MovementCollector(Collector):
    """Norms of gradients and parameters, and the movement of a few elements of each parameter, in one step."""

    def start(self, watcher: Loop) -> None:
        self._useless = useless_biases(watcher.model)
        self._tied = tied(watcher.model)
        ends = [name for name, _ in leaves(watcher.model)]
        self._last, self._leaves = ends[-1] if ends else "", set(ends)
        sizes = {name: weight.numel() // len(weight) for name, weight in depth_order(watcher.model)}
        self._usual = {name: SMALL / math.sqrt(size) for name, size in sizes.items()}
        self._sized: dict[str, bool] = {}
        tables = [(name, m) for name, m in watcher.model.named_modules() if isinstance(m, torch.nn.Embedding)]
        self._usual |= {f"{name}.weight" if name else "weight": TABLE for name, _ in tables}
        self._still: dict[str, int] = {}
        self._none: dict[str, int] = {}
        self._zero: dict[str, int] = {}
        self._top_rate: dict[int, float] = {}
        self._left: dict[int, float] = {}
        self._sizes: dict[int, _Sizes] = {}
        self._before: dict[int, tuple[list[str], list[Tensor], Tensor, Tensor, Tensor]] = {}

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if slot.closure:
            return
        held = [(name, p, gradient(p)) for name, p in zip(slot.names, slot.parameters, strict=True)]
        with_gradient = [(name, local(p), grad) for name, p, grad in held if grad is not None]
        names = [name for name, _, _ in with_gradient]
        parameters = [parameter for _, parameter, _ in with_gradient]
        grad_norms, old = norms([grad for _, _, grad in with_gradient]), norms(parameters)
        without = [name for name, p, grad in held if p.requires_grad and p.grad is None and grad is None]
        self._gradients(watcher, slot, names, torch.cat([grad_norms, old]), without)
        if names:
            slot.measured = (names, grad_norms, old)
            self._before[id(slot)] = (names, parameters, grad_norms, old, elements(parameters))

    def _gradients(self, watcher: Loop, slot: Slot, names: list[str], norm: Tensor, without: list[str]) -> None:
        """Norms at the step, and what was left of the step before."""
        leftovers, cleared, ever = list(slot.leftovers), slot.cleared, slot.ever > 0
        counts = {"steps": slot.steps + 1, "without_backward": slot.without_backward, "recorded": watcher.recorded}
        counts |= {"forwards": watcher.forwards, "backwards": slot.backwards}
        first, main = slot.steps == 0, slot is watcher.slots[0]
        matrices = {name for name, p in zip(slot.names, slot.parameters, strict=True) if p.ndim > 1}

        def use(numbers: list[float], step: int) -> None:
            found, sizes, old = numbers[: len(names)], numbers[len(names) : 2 * len(names)], numbers[2 * len(names) :]
            zero = {name for name, size in zip(names, sizes, strict=True) if size == 0}
            self._reached(watcher, dict(zip(names, found, strict=True)), without, (zero, matrices), step)
            if ever:
                watcher.emit("step_calls", counts, (), step)
            if ever and not first and (cleared or old):
                total = sum(value * value for value in found) ** 0.5
                share = 0.0 if cleared else _left_over(leftovers, old, dict(zip(names, found, strict=True)))
                self._left[id(slot)] = share
                if main:
                    watcher.emit("leftover", {"share": max(self._left.values()), "norm": total}, (), step)

        watcher.later(torch.cat([norm, *[left.reshape(1).to(norm.device) for _, left in leftovers]]), use)

    def _reached(
        self, watcher: Loop, found: dict[str, float], without: list[str], kinds: tuple[set[str], set[str]], step: int
    ) -> None:
        """Parameters that got no gradient, or a gradient of zero, in several measured steps in a row.

        ``kinds`` are the names of parameters that are zero, and of matrices.
        """
        total, nothing = len(found) + len(without), not any(found.values())
        there = {"parameters": total, "with_gradient": 0 if nothing else len(found), "none": len(without)}
        watcher.emit("gradient_at_step", there, (), step)
        if nothing or not total:
            return
        zero = [name for name, norm in found.items() if norm == 0.0 and not self._expected(name, found)]
        self._none = {name: self._none.get(name, 0) + 1 for name in without}
        self._zero = {name: self._zero.get(name, 0) + 1 for name in zero}
        none_long = [name for name, count in self._none.items() if count >= DEAF]
        zero_long = [name for name, count in self._zero.items() if count >= DEAF]
        values = {"parameters": total, "none": len(none_long), "zero": len(zero_long)}
        if none_long:
            used = {*found, *(alias for first, names in self._tied.items() if first in found for alias in names)}
            values["unused"] = sum(may_be_unused(name, self._leaves, used) for name in none_long)
        if zero_long:
            empty, matrices = kinds
            values["empty"] = len(empty & matrices & set(zero_long))
            deaf = {*zero_long, *none_long}
            values["branch"] = len(whole_branches([*found, *without], deaf, matrices, self._last) & set(zero_long))
        watcher.emit("gradient_reach", values, [*none_long, *zero_long], step)

    def _expected(self, name: str, found: dict[str, float]) -> bool:
        """A bias may have no effect (before a norm, of the keys of attention); its weight then has a gradient."""
        weight = f"{name.removesuffix('bias')}weight"
        return name in self._useless or (weight != name and found.get(weight, 0.0) > 0)

    def after_step(self, watcher: Loop, slot: Slot) -> None:
        before = self._before.pop(id(slot), None)
        if before is None:
            return
        names, parameters, grad_norms, old_norms, old = before
        new_norms, sizes = norms(parameters), self._sizes_of(slot, parameters)
        moved = rms_by_tensor(elements(parameters) - old, sizes.taken, sizes.roots)
        size = rms_by_tensor(old, sizes.taken, sizes.roots)
        matrices = [parameter.ndim > 1 for parameter in parameters]
        rate = slot.rate
        top = self._top_rate[id(slot)] = max(rate, self._top_rate.get(id(slot), 0.0))
        meant = sizes.coarse | (grad_norms * rate > NEGLIGIBLE * old_norms) | (old_norms < sizes.empty)
        inert = (new_norms == old_norms) & (moved == 0) & meant
        count, rates = len(names), slot.rates()
        maximizes = any(group.get("maximize") for group in slot.optimizer.param_groups)

        def use(numbers: list[float], step: int) -> None:
            grads, change, whole, still = (numbers[i * count : (i + 1) * count] for i in range(4))
            found = zip(names, grads, still, strict=True)
            stuck = [name for name, grad, is_inert in found if is_inert and grad > 0 and name not in self._useless]
            self._moved(watcher, names, stuck if rate > 0 else [], (rate, maximizes), step)
            of_size = dict(zip(names, whole, strict=True))
            ratios = {
                name: by / of
                for name, by, of, matrix in zip(names, change, whole, matrices, strict=True)
                if matrix and of > 0
            }
            if ratios and rate > 0:
                for name in ratios:
                    self._sized.setdefault(name, of_size[name] > self._usual.get(name, math.inf))
                usual = [name for name in ratios if self._sized[name]]
                _updates(watcher, ratios, [ratios[name] for name in usual], rate / top, step)
                _parts(watcher, ratios, rates, rate / top, step)

        watcher.later(torch.cat([grad_norms, moved, size, inert.float()]), use)

    def _sizes_of(self, slot: Slot, parameters: list[Tensor]) -> _Sizes:
        """What stays the same from sample to sample, made anew where the parameters are others."""
        key = tuple((p.shape, p.dtype, p.device) for p in parameters)
        known = self._sizes.get(id(slot))
        if known is None or known.key != key:
            known = self._sizes[id(slot)] = _Sizes(key, parameters)
        return known

    def _moved(
        self, watcher: Loop, names: list[str], stuck: list[str], settings: tuple[float, bool], step: int
    ) -> None:
        """``settings`` are the learning rate, and whether the optimizer maximises."""
        self._still = {name: self._still.get(name, 0) + 1 for name in stuck}
        long = [name for name, count in self._still.items() if count >= STILL]
        values = {"parameters": len(names), "unchanged": len(long), "learning_rate": settings[0]}
        values |= {"maximizes": 1.0} if settings[1] else {}
        watcher.emit("movement", values, long, step)


class _Sizes:
    """Numbers of elements of some parameters, on their device."""

    def __init__(self, key: tuple[object, ...], parameters: list[Tensor]) -> None:
        device = parameters[0].device
        self.key = key
        self.taken = lengths(parameters)
        self.roots = torch.tensor([float(max(1, n)) for n in self.taken], device=device).sqrt()
        self.empty = NEGLIGIBLE * torch.tensor([float(p.numel()) for p in parameters], device=device).sqrt()
        self.coarse = torch.tensor([p.dtype != torch.float32 for p in parameters], device=device)


def _left_over(leftovers: list[tuple[str, Tensor]], old: list[float], found: dict[str, float]) -> float:
    """Largest share of a parameter's gradient norm that was never cleared between the steps."""
    least: dict[str, float] = {}
    for (name, _), norm in zip(leftovers, old, strict=True):
        least[name] = min(norm, least.get(name, norm))
    shares = [norm / found[name] for name, norm in least.items() if found.get(name)]
    return max((share for share in shares if not share < ROUNDING), default=0.0)


def _updates(watcher: Loop, ratios: dict[str, float], usual: list[float], share_of_rate: float, step: int) -> None:
    """Relative size of the update of the weight matrices: the middle one and both ends.

    Of those that are not small (``usual``) the middle one by itself.
    """
    order = sorted(ratios, key=ratios.__getitem__)
    values = {
        "median": ratios[order[len(order) // 2]],
        "lowest": ratios[order[0]],
        "highest": ratios[order[-1]],
        "share_of_rate": share_of_rate,
    }
    values["sized"] = float(len(usual))
    if usual:
        values["usual"] = sorted(usual)[len(usual) // 2]
    watcher.emit("update_ratio", values, (order[0], order[-1]), step)


def _parts(
    watcher: Loop, ratios: dict[str, float], rates: dict[str, tuple[int, float]], share_of_rate: float, step: int
) -> None:
    """The part of the model (a group of the optimizer within a child of the model) whose updates are the smallest."""
    parts: dict[tuple[int, str], list[float]] = {}
    for name, ratio in ratios.items():
        group, rate = rates.get(name, (0, 0.0))
        if rate > 0:
            parts.setdefault((group, name.partition(".")[0]), []).append(ratio)
    if len(parts) < 2:
        return
    slowest = min(parts, key=lambda part: max(parts[part]))
    rest = sorted(ratio for part, found in parts.items() if part != slowest for ratio in found)
    values = {"slowest": max(parts[slowest]), "rest": rest[len(rest) // 2], "share_of_rate": share_of_rate}
    watcher.emit("update_parts", values, [slowest[1]], step)
