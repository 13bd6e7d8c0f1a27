"""What is loaded into the watched model: a state that is the live weights themselves is no checkpoint."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop


class CheckpointsCollector(Collector):
    """Looks at the tensors that ``load_state_dict`` is given."""

    def start(self, watcher: Loop) -> None:
        model = getattr(watcher.model, "_orig_mod", watcher.model)

        def loads(module: nn.Module, state: Any, prefix: str, *_: Any) -> None:
            if module is model and not prefix and watcher.step:
                self._loaded(watcher, module, state)

        self._handle = model.register_load_state_dict_pre_hook(watcher.guard.hook("checkpoints", loads))

    @staticmethod
    def _loaded(watcher: Loop, module: nn.Module, state: Any) -> None:
        own = {name: p for name, p in module.named_parameters() if p.numel()}
        given = {name: state[name] for name in own if isinstance(state.get(name), Tensor)}
        same = [name for name, tensor in given.items() if tensor.data_ptr() == own[name].data_ptr()]
        values = {"tensors": float(len(given)), "aliased": float(len(same))}
        watcher.emit("loaded", values, (), watcher.step)

    def finish(self, watcher: Loop) -> None:  # noqa: ARG002
        self._handle.remove()
