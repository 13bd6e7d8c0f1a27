"""Prediction with a trained model: a checkpoint or an exported program; numpy or torch in, the same out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lvmcheck.errors import InputError
from models.checkpoints import export as program_file
from models.checkpoints.checkpoint import published
from models.checkpoints.inference import optimize_for_inference
from models.checkpoints.load import load_model
from models.lvm.parts.vector_model import VectorModel
from models.runtime.session import pick_device

Vectors = TypeVar("Vectors", Tensor, NDArray[Any])


@dataclass(frozen=True)
class Predictor:
    """A model that only predicts: in evaluation mode, without gradients, for contexts as long and wide as it was
    trained on.

    Attributes:
        kind: of model. width: D. context: T. device: where it computes.
        run: context [B, T, D] on the device to prediction [B, D] at unit length.
        source: the file or folder it came from.
    """

    kind: str
    width: int
    context: int
    device: torch.device
    run: Callable[[Tensor], Tensor]
    source: Path

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> Predictor:
        """From a checkpoint, a run directory (its best checkpoint) or a program of :func:`export` (``.pt2``).

        Args:
            path: where it is.
            device: "cpu", "cuda", "mps", or "auto" for the first of cuda, mps and cpu that is here.

        Raises:
            InputError: none of these, or changed, or of another class, width or format, or no such device.
        """
        where = Path(path)
        if where.suffix == program_file.SUFFIX:
            program, about = program_file.read(where)
            if device not in ("cpu", "auto"):
                raise InputError(where, f"an exported program runs on the CPU, got device {device!r}", key="device")
            return cls(about.kind, about.width, about.context, torch.device("cpu"), program, where)
        chosen = _best(where)
        try:
            target = pick_device(device)
        except InputError as error:
            raise InputError(chosen, error.problem, key="device") from None
        model, steps = _vector_model(chosen, target)
        return cls(model.kind, model.input_dim, steps, target, optimize_for_inference(model), chosen)

    def __call__(self, context: Vectors) -> Vectors:
        """Predictions [B, D] at unit length for contexts [B, T, D], or [D] for one context [T, D].

        Computed in float32. A tensor comes back on the device it came from, an array as an array, both as float32.

        Raises:
            InputError: another shape or type, or numbers that are not finite.
        """
        given = self._tensor(context) if isinstance(context, np.ndarray) else context
        x = self.checked(given)
        with torch.inference_mode():
            predicted = self.run(x).to(given.device)
        prediction = (predicted if given.ndim == 3 else predicted[0]).clone()
        return prediction.numpy() if isinstance(context, np.ndarray) else prediction

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        """The array as a tensor, in memory that torch can use: native byte order, contiguous, writable."""
        if array.dtype.kind != "f" or array.dtype.itemsize > 8:
            raise self._not_floating(str(array.dtype))
        native = array.dtype.newbyteorder("=")
        return torch.from_numpy(np.require(array, dtype=native, requirements=["C", "W"]))

    def _not_floating(self, got: str) -> InputError:
        return InputError(f"model {self.kind}", f"expected a context of float16, float32 or float64, got {got}")

    def checked(self, given: Tensor | NDArray[Any]) -> Tensor:
        """Contexts [B, T, D] or [T, D] as :attr:`run` takes them: [B, T, D] in float32 on the device.

        Raises:
            InputError: as :meth:`__call__`.
        """
        given = self._tensor(given) if isinstance(given, np.ndarray) else given
        expected = [self.context, self.width]
        if given.ndim not in (2, 3) or list(given.shape[-2:]) != expected:
            problem = f"expected a context [B, {self.context}, {self.width}], got {list(given.shape)}"
            raise InputError(f"model {self.kind}", problem)
        if not given.is_floating_point():
            raise self._not_floating(str(given.dtype).removeprefix("torch."))
        x = given.detach().reshape(-1, *expected).to(self.device, torch.float32)
        finite = x.isfinite().flatten(1).all(dim=1)
        if not finite.all():
            row = int((~finite).nonzero()[0])
            raise InputError(f"model {self.kind}", "expected finite numbers, got NaN or infinity", key=f"context {row}")
        return x


def export(source: Path | str | VectorModel, to: Path | str, *, context: int | None = None) -> Predictor:
    """Writes a ``torch.export`` program (``name.pt2``) and JSON beside it, and loads it back.

    Args:
        source: a checkpoint or run directory, or a model.
        to: the file to write.
        context: T; known from a checkpoint, needed for a model.

    Raises:
        InputError: as :meth:`Predictor.load` and :func:`models.checkpoints.export.write`, or a model without context.
    """
    target = Path(to)
    if isinstance(source, VectorModel):
        if context is None:
            raise InputError("export", "expected the context length of a model that is no checkpoint, got none")
        model, steps = source, context
    else:
        where = Path(source)
        if where.suffix == program_file.SUFFIX:
            raise InputError(where, "expected a checkpoint, got an exported program")
        model, steps = _vector_model(_best(where), torch.device("cpu"))
    program_file.write(model, target, kind=model.kind, width=model.input_dim, context=steps)
    return Predictor.load(target)


def _vector_model(checkpoint: Path, device: torch.device) -> tuple[VectorModel, int]:
    """The model of a checkpoint in evaluation mode, and the context length it was trained on.

    Raises:
        InputError: no checkpoint, or one of a language model.
    """
    model, read = load_model(checkpoint, device)
    if read.probe["input"].ndim != 3:
        problem = f"expected a model of vectors, got the language model {read.about.kind!r}"
        raise InputError(checkpoint, problem, fix="models.cognate.generate continues text.")
    return cast(VectorModel, model), read.probe["input"].shape[1]


def _best(path: Path) -> Path:
    """The newest best checkpoint of a run directory; any other path as it is."""
    found = published(path / "checkpoints", "best") or published(path, "best")
    return found[-1] if found else path
