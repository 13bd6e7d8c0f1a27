"""Faults of the batches: planted where they pass a DataLoader, the model's input, or ``torch.from_numpy``.

Training is told from validation by whether gradients are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from lvmcheck.selftest.plan import Fault, Site
from lvmcheck.selftest.replaced import replaced

NEEDS = "its batches pass neither a DataLoader, a torch module nor torch.from_numpy"
STORED = 64
"""Training batches that are shown again in place of validation batches."""


class Taps:
    """What a fault makes of the data that pass by; by default nothing.

    Attributes:
        paired: a DataLoader gave inputs beside targets, so that the model's own input is left alone.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.paired = False
        self.stored: dict[Any, Any] = {}

    def batch(self, parts: list[Any], training: bool) -> list[Any]:  # noqa: ARG002
        """Inputs and targets of a DataLoader."""
        return parts

    def whole(self, batch: Any, training: bool) -> Any:  # noqa: ARG002
        """A batch of a DataLoader as it is."""
        return batch

    def inputs(self, tensor: Any, training: bool) -> Any:  # noqa: ARG002
        """The first input of the outermost module, or an array of numpy with three dimensions or more."""
        return tensor

    def array(self, tensor: Any, training: bool) -> Any:
        """Any array of numpy that becomes a tensor."""
        return self.inputs(tensor, training) if tensor.ndim >= 3 else tensor


class Shuffled(Taps):
    """Targets belong to other rows of their batch."""

    def batch(self, parts: list[Any], training: bool) -> list[Any]:
        return [*parts[:-1], self.inputs(parts[-1], training)]

    def inputs(self, tensor: Any, training: bool) -> Any:
        if not training or len(tensor) < 2:
            return tensor
        self.site.effect()
        return tensor.roll(1, 0)


class Zeroed(Taps):
    """Inputs are 0, in training or in validation."""

    in_training = True

    def batch(self, parts: list[Any], training: bool) -> list[Any]:
        return [self.inputs(parts[0], training), *parts[1:]]

    def inputs(self, tensor: Any, training: bool) -> Any:
        if training is not self.in_training:
            return tensor
        self.site.effect()
        return tensor.clone().zero_()


class ZeroedInValidation(Zeroed):
    """Inputs are 0 in validation."""

    in_training = False


class Repeated(Taps):
    """Every training batch is the first one."""

    def whole(self, batch: Any, training: bool) -> Any:
        if not training:
            return batch
        if "first" in self.stored:
            self.site.effect()
        return self.stored.setdefault("first", batch)

    def array(self, tensor: Any, training: bool) -> Any:
        if not training or tensor.ndim < 2 or not self.site.optimizers:
            return tensor
        if tensor.shape in self.stored:
            self.site.effect()
            return self.stored[tensor.shape].clone()
        self.stored[tensor.shape] = tensor.clone()
        return tensor


class ValidatedOnTraining(Taps):
    """Validation gets batches of training."""

    def whole(self, batch: Any, training: bool) -> Any:
        if training:
            if len(self.stored) < STORED:
                self.stored[len(self.stored)] = batch
            return batch
        if not self.stored:
            return batch
        self.site.effect()
        self.shown = getattr(self, "shown", -1) + 1
        return self.stored[self.shown % len(self.stored)]

    def array(self, tensor: Any, training: bool) -> Any:
        import torch

        if tensor.ndim < 2:
            return tensor
        kept = self.stored.get(tensor.ndim)
        if training:
            if kept is None or len(tensor) > len(kept):
                self.stored[tensor.ndim] = tensor.clone()
            return tensor
        if kept is None or kept.shape[1:] != tensor.shape[1:]:
            return tensor
        self.site.effect()
        return kept[torch.arange(len(tensor)) % len(kept)].clone()


# -- where data pass ---------------------------------------------------------------------------------------------------
@contextmanager
def tapped(taps: Taps) -> Iterator[None]:
    """What DataLoaders, modules and ``torch.from_numpy`` pass on while this lasts goes through ``taps``."""
    import torch
    from torch.utils.data.dataloader import _BaseDataLoaderIter

    following, from_numpy, depth = _BaseDataLoaderIter.__next__, torch.from_numpy, [0]
    training = torch.is_grad_enabled

    def next_batch(loader: Any) -> Any:
        return _through(taps, following(loader), training())

    def before(_: Any, arguments: tuple[Any, ...]) -> Any:
        depth[0] += 1
        outermost = depth[0] == 1 and not taps.paired and taps.site.optimizers > 0
        if outermost and arguments and isinstance(arguments[0], torch.Tensor):
            return (taps.inputs(arguments[0], training()), *arguments[1:])
        return None

    def after(*_: Any) -> None:
        depth[0] -= 1

    def converted(array: Any) -> Any:
        return taps.array(from_numpy(array), training())

    hooks = (
        torch.nn.modules.module.register_module_forward_pre_hook(before),
        torch.nn.modules.module.register_module_forward_hook(after, always_call=True),
    )
    loaders, arrays = replaced(_BaseDataLoaderIter, "__next__", next_batch), replaced(torch, "from_numpy", converted)
    try:
        with loaders, arrays, _counted(taps.site):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _through(taps: Taps, batch: Any, training: bool) -> Any:
    import torch

    batch = taps.whole(batch, training)
    parts = list(batch.values()) if isinstance(batch, Mapping) else batch
    if not isinstance(parts, list | tuple) or len(parts) < 2 or not all(isinstance(p, torch.Tensor) for p in parts):
        return batch
    taps.paired = True
    changed = taps.batch(list(parts), training)
    return dict(zip(batch, changed, strict=True)) if isinstance(batch, Mapping) else type(parts)(changed)


@contextmanager
def _counted(site: Site) -> Iterator[None]:
    from lvmcheck.selftest.step_faults import planted

    with planted(lambda step: step.take(), site):
        yield


@contextmanager
def unshuffled(site: Site) -> Iterator[None]:
    """Samplers give rows in their order, sorted by label where the data set has labels."""
    import torch
    from torch.utils.data import RandomSampler

    def in_order(sampler: Any) -> Iterator[int]:
        site.effect()
        labels = getattr(sampler.data_source, "tensors", (None,))[-1]
        if isinstance(labels, torch.Tensor) and labels.ndim == 1:
            return iter(labels.argsort(stable=True).tolist())
        return iter(range(len(sampler.data_source)))

    with replaced(RandomSampler, "__iter__", in_order):
        yield


def _fault(name: str, about: str, taps: Callable[[Site], Taps]) -> Fault:
    def plant(site: Site) -> AbstractContextManager[None]:
        return tapped(taps(site))

    return Fault(name=name, about=about, needs=NEEDS, plant=plant)


FAULTS: tuple[Fault, ...] = (
    _fault("labels_shuffled", "targets belong to other rows of their batch", Shuffled),
    _fault("inputs_zero", "inputs of training are 0", Zeroed),
    _fault("validation_inputs_zero", "inputs of validation are 0", ZeroedInValidation),
    _fault("validated_on_training", "validation gets training batches", ValidatedOnTraining),
    _fault("batch_repeated", "every step trains on the first batch", Repeated),
    Fault(
        name="not_shuffled",
        about="rows come in order, sorted by label where there are labels",
        needs="the order does not come from torch's RandomSampler",
        plant=unshuffled,
    ),
)
