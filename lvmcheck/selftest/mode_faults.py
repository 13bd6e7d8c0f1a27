"""Faults of training and evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from lvmcheck.selftest.plan import Fault, Site
from lvmcheck.selftest.replaced import replaced

NEEDS = "no model with dropout or batch statistics changed its mode"


def depends_on_mode(model: Any) -> bool:
    """Whether a part of the model does something else in training than in evaluation."""
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.dropout import _DropoutNd

    for module in model.modules():
        if isinstance(module, _DropoutNd) and module.p > 0:
            return True
        if isinstance(module, _NormBase) or float(getattr(module, "dropout", 0) or 0) > 0:
            return True
    return False


@contextmanager
def planted(choose: Callable[[bool], bool], site: Site) -> Iterator[None]:
    """``model.train(mode)`` and ``model.eval()`` set the mode that ``choose`` makes of the one asked for."""
    import torch

    change: Any = torch.nn.Module.train
    inside: list[Any] = []

    def train(model: Any, mode: bool = True) -> Any:
        if inside:  # a part of the model whose mode is being changed
            return change(model, mode)
        inside.append(model)
        try:
            if choose(mode) != mode and depends_on_mode(model):
                site.effect()
            return change(model, choose(mode))
        finally:
            inside.pop()

    with replaced(torch.nn.Module, "train", train):
        yield


def _fault(name: str, about: str, choose: Callable[[bool], bool]) -> Fault:
    def plant(site: Site) -> AbstractContextManager[None]:
        return planted(choose, site)

    return Fault(name=name, about=about, needs=NEEDS, plant=plant)


FAULTS: tuple[Fault, ...] = (
    _fault("modes_swapped", "training and evaluation mode swapped", lambda mode: not mode),
    _fault("eval_ignored", "validated in training mode", lambda _: True),
    _fault("train_ignored", "trained in evaluation mode", lambda _: False),
)
