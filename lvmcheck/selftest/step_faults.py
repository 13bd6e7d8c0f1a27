"""Faults of the update: planted in every optimizer that the trainer makes, without changing the trainer's code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import MethodType
from typing import Any

from lvmcheck.selftest.plan import Fault, Site
from lvmcheck.selftest.replaced import replaced

NEEDS_STEP = "no torch.optim.Optimizer took a step"
NAN_STEP = 20
"""The optimizer step at which a gradient becomes NaN."""
NOISE = 10.0
"""Standard deviation of the noise, in root mean squares of the gradient."""


class Step:
    """An optimizer's step with the fault around it.

    Attributes:
        take: the step itself, without the fault. count: steps so far, this one included.
        memory: whatever the fault keeps between steps.
    """

    def __init__(self, optimizer: Any, site: Site) -> None:
        self.optimizer = optimizer
        self.site = site
        self.count = 0
        self.memory: dict[Any, Any] = {}
        self.take: Callable[[], Any] = lambda: None

    @property
    def parameters(self) -> list[Any]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @property
    def gradients(self) -> list[Any]:
        return [p.grad for p in self.parameters if p.grad is not None]


StepFault = Callable[[Step], Any]
"""What happens in place of a step; returns what the step returns."""


@contextmanager
def planted(fault: StepFault, site: Site) -> Iterator[None]:
    """Every optimizer that is made while this lasts takes its steps with the fault."""
    import torch

    make = torch.optim.Optimizer.__init__

    def init(optimizer: Any, *arguments: Any, **options: Any) -> None:
        make(optimizer, *arguments, **options)
        site.optimizers += 1
        original, step = optimizer.step, Step(optimizer, site)

        def faulty(_: Any, *given: Any, **named: Any) -> Any:
            step.count += 1
            step.take = lambda: original(*given, **named)
            with torch.no_grad():
                return fault(step)

        optimizer.step = MethodType(faulty, optimizer)  # a scheduler wraps it further, as it wraps any method

    with replaced(torch.optim.Optimizer, "__init__", init):
        yield


# -- the faults --------------------------------------------------------------------------------------------------------
def no_update(step: Step) -> None:
    step.site.effect()


def every_second_step(step: Step) -> Any:
    if step.count % 2:
        return step.take()
    step.site.effect()
    return None


def two_steps(step: Step) -> Any:
    step.take()
    step.site.effect()
    return step.take()


def rate_times(factor: float) -> StepFault:
    def fault(step: Step) -> Any:
        groups = step.optimizer.param_groups
        rates = [group["lr"] for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * factor
        step.site.effect()
        try:
            return step.take()
        finally:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate

    return fault


def constant_rate(step: Step) -> Any:
    """Every step at the rate of the first one."""
    groups = step.optimizer.param_groups
    rates = [group["lr"] for group in groups]
    made = [float(step.memory.setdefault(i, rate)) for i, rate in enumerate(rates)]
    for group, rate, first in zip(groups, rates, made, strict=True):
        if abs(float(rate) - first) > 0.01 * first:
            step.site.effect()
        group["lr"] = first
    try:
        return step.take()
    finally:
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate


def gradients_times(factor: float) -> StepFault:
    def fault(step: Step) -> Any:
        for gradient in step.gradients:
            gradient.mul_(factor)
            step.site.effect()
        return step.take()

    return fault


def gradient_noise(step: Step) -> Any:
    import torch

    for gradient in step.gradients:
        gradient.add_(torch.randn_like(gradient), alpha=NOISE * float(gradient.square().mean().sqrt()))
        step.site.effect()
    return step.take()


def tiny_clip(step: Step) -> Any:
    norm = sum(float(gradient.square().sum()) for gradient in step.gradients) ** 0.5
    for gradient in step.gradients if norm > 0 else ():
        gradient.mul_(1e-8 / norm)
        step.site.effect()
    return step.take()


def head_left_out(step: Step) -> Any:
    """The optimizer does not hold the last matrix and what follows it; one that is not torch's keeps their values."""
    groups, parameters = step.optimizer.param_groups, step.parameters
    last = max((i for i, p in enumerate(parameters) if p.ndim > 1), default=len(parameters) - 1)
    head = parameters[last:]
    step.site.effect()
    if not type(step.optimizer).__module__.startswith("torch.optim"):  # it may have buffers for every parameter
        before = [(p, p.detach().clone()) for p in head]
        answer = step.take()
        for parameter, value in before:
            parameter.copy_(value)
        return answer
    held, left = [group["params"] for group in groups], {id(p) for p in head}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in left]
    try:
        return step.take()
    finally:
        for group, whole in zip(groups, held, strict=True):
            group["params"] = whole


def huge_decay(step: Step) -> Any:
    answer = step.take()
    for parameter in step.parameters:
        parameter.mul_(0.98)
        step.site.effect()
    return answer


def nan_gradient(step: Step) -> Any:
    if step.count == NAN_STEP and step.gradients:
        step.gradients[0].fill_(float("nan"))
        step.site.effect()
    return step.take()


def frozen_after_first_epoch(step: Step) -> Any:
    if step.site.epochs == 0:
        return step.take()
    step.site.effect()
    return None


def new_weights_each_epoch(step: Step) -> Any:
    if not step.memory:
        step.memory.update(first=[p.detach().clone() for p in step.parameters], epochs=0)
    if step.site.epochs > step.memory["epochs"]:
        step.memory["epochs"] = step.site.epochs
        for parameter, value in zip(step.parameters, step.memory["first"], strict=True):
            parameter.copy_(value)
        step.site.effect()
    return step.take()


@contextmanager
def gradients_kept(site: Site) -> Iterator[None]:
    """``zero_grad`` does nothing; in a loop that clears gradients by itself they are added up here."""
    import torch

    called: list[bool] = []

    def zero_grad(_: Any, set_to_none: bool = True) -> None:  # noqa: ARG001 - torch's signature
        called.append(True)
        site.effect()

    def add(step: Step) -> Any:
        if not called:
            for i, gradient in enumerate(step.gradients):
                if i in step.memory and step.memory[i].shape == gradient.shape:
                    gradient.add_(step.memory[i])
                    site.effect()
                step.memory[i] = gradient.clone()
        return step.take()

    optimizers = replaced(torch.optim.Optimizer, "zero_grad", zero_grad)
    with optimizers, replaced(torch.nn.Module, "zero_grad", zero_grad), planted(add, site):
        yield


def _fault(name: str, about: str, fault: StepFault, needs: str = NEEDS_STEP) -> Fault:
    def plant(site: Site) -> AbstractContextManager[None]:
        return planted(fault, site)

    return Fault(name=name, about=about, needs=needs, plant=plant)


FAULTS: tuple[Fault, ...] = (
    _fault("no_update", "optimizer.step does nothing", no_update),
    _fault("every_second_step", "every second optimizer step is left out", every_second_step),
    _fault("two_steps", "optimizer.step is called twice", two_steps),
    _fault("lr_x100", "learning rate 100 times too high", rate_times(100.0)),
    _fault("lr_div100", "learning rate 100 times too low", rate_times(0.01)),
    _fault("lr_zero", "learning rate 0", rate_times(0.0)),
    _fault("schedule_off", "the learning rate stays at its first value", constant_rate, "the rate is constant anyway"),
    Fault(name="gradients_kept", about="gradients are not cleared", needs=NEEDS_STEP, plant=gradients_kept),
    _fault("gradients_scaled", "gradients 1e-10 times too small (loss scale never undone)", gradients_times(1e-10)),
    _fault("gradient_sign", "the sign of the gradient is flipped", gradients_times(-1.0)),
    _fault("gradient_noise", "gradients drown in noise", gradient_noise),
    _fault("tiny_clip", "gradients clipped to a norm of 1e-8", tiny_clip),
    _fault("head_left_out", "the last layer is not updated", head_left_out),
    _fault("huge_decay", "weights lose 2 % at every step", huge_decay),
    _fault("nan_gradient", f"a NaN gradient at step {NAN_STEP}", nan_gradient, f"fewer than {NAN_STEP} steps"),
    _fault("frozen", "no update after the first epoch", frozen_after_first_epoch, "only one epoch is reported"),
    _fault("new_weights", "weights start anew in every epoch", new_weights_each_epoch, "only one epoch is reported"),
)
