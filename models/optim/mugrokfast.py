"""MuGrokfast: gradients filtered by Grokfast, then Muon or AdamW by parameter group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from lvmcheck.errors import nearest
from models.fast.lean_optimizer import LeanOptimizer
from models.optim.config import refused
from models.optim.grokfast import low_pass_
from models.optim.muon import muon_step, orthogonalise

KINDS = ("muon", "adamw")


class MuGrokfast(LeanOptimizer):
    """Muon for groups of kind "muon", AdamW (Loshchilov and Hutter 2019) for kind "adamw", both on filtered gradients.

    ``lr`` is read from each group at every step. ``.grad`` holds the filtered gradient afterwards, so zero it before
    the next backward pass. All state is tensors: ``average`` (where the gain is above 0), ``momentum``, ``exp_avg``,
    ``exp_avg_sq``, ``step``.

    Args:
        groups: as :func:`models.optim.groups.parameter_groups` gives them: ``name``, ``params``, ``kind``; a group's
            own ``lr``, ``weight_decay``, ... come before the arguments below.
        lr: of "adamw" groups. muon_lr: of "muon" groups, in the same unit: an update of 0.2 root mean square.
        weight_decay: decoupled. momentum: of Muon.
        grokfast_alpha, grokfast_lambda: decay and gain of the filter; gain 0 is off.

    Raises:
        InputError: an unknown kind, a name given twice, a value out of range, or a parameter that Muon cannot update.
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        *,
        lr: float = 1e-3,
        muon_lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        grokfast_alpha: float = 0.98,
        grokfast_lambda: float = 0.3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self._muon_lr = muon_lr
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "grokfast_alpha": grokfast_alpha,
            "grokfast_lambda": grokfast_lambda,
            "betas": betas,
            "eps": eps,
        }
        super().__init__([dict(group) for group in groups], defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group that has been checked, with the rate of its kind unless it has its own."""
        kind, name = param_group.get("kind"), param_group.get("name")
        if kind not in KINDS:
            raise refused("kind", f"group {name!r}: no such kind {kind!r}", nearest(str(kind), KINDS))
        if not name or any(group["name"] == name for group in self.param_groups):
            raise refused("group_lr", f"expected a name that no other group has, got {name!r}")
        if kind == "muon":
            param_group.setdefault("lr", self._muon_lr)
        merged = {**self.defaults, **param_group}
        for key, below in (("lr", None), ("weight_decay", None), ("momentum", 1), ("grokfast_alpha", 1)):
            _in_range(f"{name}: {key}", key, float(merged[key]), below)
        _in_range(f"{name}: grokfast_lambda", "grokfast_lambda", float(merged["grokfast_lambda"]), None)
        super().add_param_group(param_group)
        shapes = [list(p.shape) for p in self.param_groups[-1]["params"] if p.ndim != 2]
        if kind == "muon" and shapes:
            raise refused("kind", f"group {name!r}: Muon updates matrices, got a parameter of shape {shapes[0]}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient; returns what ``closure`` gave."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [parameter for parameter in group["params"] if parameter.grad is not None]
            gradients = [parameter.grad for parameter in params]
            if any(gradient.is_sparse for gradient in gradients):
                raise refused("kind", f"group {group['name']!r}: expected dense gradients, got a sparse one")
            if group["grokfast_lambda"] > 0:
                self._filter(gradients, [self._average(parameter) for parameter in params], group)
            update = self._muon if group["kind"] == "muon" else self._adamw
            update(params, gradients, group)
        return loss

    def _average(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "average" not in state:
            assert parameter.grad is not None
            state["average"] = parameter.grad.clone(memory_format=torch.preserve_format)
        average: Tensor = state["average"]
        return average

    def _filter(self, gradients: list[Tensor], averages: list[Tensor], group: dict[str, Any]) -> None:
        low_pass_(gradients, averages, alpha=group["grokfast_alpha"], gain=group["grokfast_lambda"])

    def _orthogonalise(self, matrices: Tensor) -> Tensor:
        return orthogonalise(matrices)

    def _rate(self, group: dict[str, Any]) -> float:
        return float(group["lr"])

    def _muon(self, params: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        muon_step(
            params,
            gradients,
            self._kept(params, "momentum"),
            lr=self._rate(group),
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            orthogonaliser=self._orthogonalise,
        )

    def _adamw(self, params: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in params:
            state = self.state[parameter]
            if "step" not in state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        adamw(
            params,
            gradients,
            self._kept(params, "exp_avg"),
            self._kept(params, "exp_avg_sq"),
            [],
            [self.state[parameter]["step"] for parameter in params],
            fused=all(parameter.device.type in ("cpu", "cuda") for parameter in params) or None,
            amsgrad=False,
            maximize=False,
            lr=self._rate(group),
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
        )

    def _kept(self, params: list[Tensor], entry: str) -> list[Tensor]:
        """The state ``entry`` of each parameter; zeros at first."""
        for parameter in params:
            if entry not in self.state[parameter]:
                self.state[parameter][entry] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return [self.state[parameter][entry] for parameter in params]


def _in_range(what: str, key: str, value: float, below: float | None) -> None:
    if not (value >= 0 and value != float("inf") and (below is None or value < below)):
        expected = "a finite number of at least 0" if below is None else f"at least 0 and less than {below}"
        raise refused(key, f"{what}: expected {expected}, got {value:g}")
