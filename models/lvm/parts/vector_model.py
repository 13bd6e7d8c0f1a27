"""What every latent vector model shares: the call contract, what it declares about itself, and the output head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from lvmcheck.errors import InputError, nearest
from models.fast.manual_loss import ManualBackward
from models.losses import unit


class Variant:
    """One way to build a kind that has a name of its own, such as a generation of the original project.

    Args:
        what: the name. options: parameters that differ from the defaults.
    """

    def __init__(self, what: str, **options: int | float | str | bool) -> None:
        self.what = what
        self.options = options


GradBuffers = Callable[[], Sequence[Tensor]]
"""Gives the tensors that gradients are written into, see :meth:`VectorModel.manual_backward`."""


class VectorModel(nn.Module):
    """Predicts the next unit vector from T context vectors of the same width.

    A model implements :meth:`raw`; :meth:`forward` checks the context and puts the prediction at unit length. What it
    declares is tested for every file of ``models/lvm`` (suites/models/test_family.py).

    Attributes:
        order_matters: whether a trained model sees the order of the context.
        silent: tensors whose gradient is exactly zero in mathematics, by name.
        variants: the ways to build it that have names; the first is the default.
        input_dim: D, width of a context vector and of the prediction.
    """

    order_matters: ClassVar[bool] = True
    silent: ClassVar[tuple[str, ...]] = ()
    variants: ClassVar[tuple[Variant, ...]] = (Variant("default"),)

    def __init__(self, input_dim: int) -> None:
        super().__init__()
        self.input_dim = input_dim

    @property
    def kind(self) -> str:
        """The name in suites: that of the module."""
        return kind_of(type(self))

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads a run of this model must know: which kernels run, what stands in for what."""
        return ()

    def manual_backward(self, grad_buffers: GradBuffers) -> ManualBackward | None:  # noqa: ARG002
        """A hand-derived forward and backward pass for this model as it is now; None where there is none. Its
        gradients equal autograd's up to rounding.

        Args:
            grad_buffers: returns one tensor per parameter, in order, for its gradient; may move the parameters.
        """
        return None

    def raw(self, x: Tensor) -> Tensor:
        """The prediction [B, D] before it is put at unit length, of a checked context [B, T, D]."""
        raise NotImplementedError

    def forward(self, x: Tensor, return_raw: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """The prediction [B, D] at unit length; with ``return_raw``, ``(raw [B, D], prediction)``.

        Raises:
            InputError: ``x`` is not [B, T >= 1, input_dim].
        """
        self.check_context(x)
        raw = self.raw(x)
        prediction = unit(raw)
        return (raw, prediction) if return_raw else prediction

    def check_context(self, x: Tensor) -> None:
        """Raises InputError when ``x`` is not [B, T >= 1, input_dim]."""
        if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] != self.input_dim:
            raise InputError(f"model {self.kind}", f"expected a context [B, T, {self.input_dim}], got {list(x.shape)}")


def kind_of(model: type[nn.Module]) -> str:
    """The name in suites of a model class: that of its module, or of the package that holds it in a file model.py."""
    *above, last = model.__module__.split(".")
    return above[-1] if last == "model" and above else last


def output_head(hidden_dim: int, output_dim: int) -> nn.Sequential:
    """The original project's head of 12 to 16 October: Linear, GELU, LayerNorm, Linear; 657,664 parameters at 512 and
    768."""
    return nn.Sequential(
        nn.Linear(hidden_dim, hidden_dim), nn.GELU(), nn.LayerNorm(hidden_dim), nn.Linear(hidden_dim, output_dim)
    )


def output_map(hidden_dim: int, output_dim: int, *, head: bool) -> nn.Module:
    """Hidden state to prediction: :func:`output_head`, or one Linear as the original project had it later."""
    return output_head(hidden_dim, output_dim) if head else nn.Linear(hidden_dim, output_dim)


# -- parameters --------------------------------------------------------------------------------------------------------
def check_choice(model: nn.Module, name: str, value: str, known: tuple[str, ...]) -> str:
    """``value`` when it is one of ``known``.

    Raises:
        InputError: it is not; the nearest is offered.
    """
    if value not in known:
        fix = nearest(value, known)
        raise InputError(f"model {kind_of(type(model))}", f"no such {name} {value!r}", key=f"run.model.{name}", fix=fix)
    return value


def check_dropout(model: nn.Module, value: float) -> float:
    """``value`` when it is a share that may be dropped.

    Raises:
        InputError: it is not at least 0 and below 1.
    """
    if not 0.0 <= value < 1.0:
        problem = f"expected at least 0 and less than 1, got {value:g}"
        raise InputError(f"model {kind_of(type(model))}", problem, key="run.model.dropout")
    return value


def check_divides(model: nn.Module, name: str, parts: int, whole_name: str, whole: int) -> int:
    """``whole // parts``.

    Raises:
        InputError: ``parts`` does not divide ``whole``.
    """
    if whole % parts:
        problem = f"expected a divisor of {whole_name} = {whole}, got {parts}"
        raise InputError(f"model {kind_of(type(model))}", problem, key=f"run.model.{name}")
    return whole // parts
