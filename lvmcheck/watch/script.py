"""What can be seen of a script that knows nothing of lvmcheck: losses, steps, and the models that its optimizers hold.

Official global hooks see optimizers step and modules being called; ``torch.autograd.backward`` and
``GradScaler.scale`` are replaced while the script runs, to see what is differentiated. All of it is taken back when
:meth:`Observer.close` is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers

from lvmcheck.errors import InputError
from lvmcheck.watch.alive import alive, held, own, together, whole
from lvmcheck.watch.found import LOOKING

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder


class Observer:
    """Records a training loop from outside.

    Attributes:
        recorder: the run, from the first backward pass on; None before it.
        steps: steps of the first optimizer, and ``without_loss`` those of them before which no loss was seen.
        players: several optimizers step with losses of their own, which are no single curve and not recorded.
        unheld: modules with trainable parameters that are called in training and that no optimizer holds.

    Args:
        start: begins the run.
        stopped: raises what ends the script; called in a step after which the run is to stop.
    """

    def __init__(self, start: Callable[[], Recorder], stopped: Callable[[], None]) -> None:
        self.recorder: Recorder | None = None
        self.steps = self.without_loss = 0
        self.unheld: list[str] = []
        self._start, self._stopped = start, stopped
        self._losses: list[Tensor] = []
        self._scaled = False
        self._depth = 0
        self._roots: dict[int, nn.Module] = {}
        self._watched: set[int] = set()
        self._known: set[int] = set()  # optimizers that were seen to step
        self._main: torch.optim.Optimizer | None = None
        self.players = False
        self._module_handles: list[Any] = []
        self._backward, self._scale = torch.autograd.backward, torch.amp.GradScaler.scale
        torch.autograd.backward = self._on_backward
        torch.amp.GradScaler.scale = self._on_scale()  # type: ignore[method-assign]
        self._handles = [
            optimizers.register_optimizer_step_pre_hook(self._before_step),
            optimizers.register_optimizer_step_post_hook(self._after_step),
        ]
        self._look_at_modules()

    def close(self) -> None:
        """Take everything back."""
        torch.autograd.backward = self._backward
        torch.amp.GradScaler.scale = self._scale  # type: ignore[method-assign]
        for handle in (*self._handles, *self._module_handles):
            handle.remove()
        self._handles, self._module_handles = [], []

    # -- models --------------------------------------------------------------------------------------------------------
    def _look_at_modules(self) -> None:
        self._depth = 0
        if not self._module_handles:
            self._module_handles = [
                modules.register_module_forward_pre_hook(self._before_forward),
                modules.register_module_forward_hook(self._after_forward, always_call=True),
            ]

    def _before_forward(self, module: nn.Module, _args: Any) -> None:
        if torch.compiler.is_compiling():
            return
        self._depth += 1
        if self._depth == 1 and torch.is_grad_enabled():
            self._roots.setdefault(id(module), module)

    def _after_forward(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if not torch.compiler.is_compiling():
            self._depth -= 1

    def _watch(self) -> None:
        """Watch the models that were called and that an optimizer holds."""
        fresh = [root for key, root in self._roots.items() if key not in self._watched]
        if not fresh or self.recorder is None:
            return
        self._watched |= set(self._roots)
        found = alive(torch.optim.Optimizer)
        parts = [(root, [item for item in found if held(item) & own(root)]) for root in fresh if own(root)]
        for root, holders in parts:
            if not holders and any(parameter.requires_grad for parameter in root.parameters()):
                self.unheld.append(type(root).__name__)
        for group in together([(root, holders) for root, holders in parts if holders]):
            model = whole([root for root, _ in group])
            holders = list({id(item): item for _, items in group for item in items}.values())
            try:
                self.recorder.watch(model, holders)
            except InputError as problem:
                self.recorder.note(str(problem))

    # -- losses and steps ----------------------------------------------------------------------------------------------
    def _on_backward(self, tensors: Any, *args: Any, **keywords: Any) -> None:
        first = tensors if isinstance(tensors, Tensor) else next(iter(tensors), None)
        if isinstance(first, Tensor) and first.numel() == 1:
            loss = getattr(first, "_lvmcheck_unscaled", None if self._scaled else first)
            if loss is not None:
                self._losses.append(loss.detach().reshape(()))
        if self.recorder is None:
            self.recorder = self._start()
        if self._module_handles:
            self._watch()
        self._backward(tensors, *args, **keywords)

    def _on_scale(self) -> Callable[..., Any]:
        scale = self._scale

        def scaled(scaler: Any, outputs: Any) -> Any:
            result = scale(scaler, outputs)
            if isinstance(result, Tensor) and result is not outputs:
                self._scaled = True  # what is not known to be unscaled is not recorded from here on
                result._lvmcheck_unscaled = outputs.detach()  # type: ignore[attr-defined]
            return result

        return scaled

    def _before_step(self, optimizer: torch.optim.Optimizer, _args: Any, _keywords: Any) -> None:
        if id(optimizer) not in self._known:
            self._known.add(id(optimizer))
            self._look_at_modules()

    def _after_step(self, optimizer: torch.optim.Optimizer, _args: Any, _keywords: Any) -> None:
        losses, self._losses = self._losses, []
        if self.recorder is None:
            return
        self._main = self._main or optimizer
        if optimizer is self._main:
            self.steps += 1
            if losses and not self.players:
                rate = float(optimizer.param_groups[0].get("lr", 0.0))
                self.recorder.step(loss=torch.stack(losses).mean() if losses[1:] else losses[0], lr=rate)
            elif not losses:
                self.without_loss += 1
            if self.steps == LOOKING and len(self._known) == 1:
                self._no_longer_look()
        else:
            self.players = self.players or bool(losses)
            if self._module_handles and self.steps > LOOKING:
                self._no_longer_look()
        if self.recorder.stop:
            self._stopped()

    def _no_longer_look(self) -> None:
        self._watch()
        for handle in self._module_handles:
            handle.remove()
        self._module_handles = []
