"""What the [run] tables of all trainers share, checked before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lvmcheck.errors import InputError, nearest

STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]


class EarlyStop(BaseModel):
    """Training ends after ``patience`` epochs without a validation loss ``min_delta`` below the best before."""

    model_config = STRICT

    patience: Positive
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class RunConfig(BaseModel):
    """How one run is trained. Strict and frozen: unknown keys, and values of another type, are refused.

    ``window`` counts optimizer steps; ``clip_norm`` 0 is off. ``precision`` is that of the training steps.
    ``keep_every`` keeps and tests a checkpoint every so many epochs; 0 keeps the best and the last alone.
    """

    model_config = STRICT
    where: ClassVar[str]
    loss_terms: ClassVar[tuple[str, ...]]

    model: dict[str, Any]
    data: dict[str, Any]
    loss: dict[str, Weight]
    epochs: Positive
    batch_size: Positive
    eval_batch_size: Positive
    warmup_steps: NotNegative = 0
    clip_norm: Annotated[float, Field(ge=0)] = 1.0
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    seed: NotNegative = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Positive = 1
    window: Positive = 50
    early_stop: EarlyStop | None = None
    keep_every: NotNegative = 0

    @classmethod
    def check_model(cls, params: dict[str, Any], kind: str) -> None:
        """Raises InputError when no model of this trainer is called ``kind`` or takes ``params``."""
        raise NotImplementedError

    @field_validator("model")
    @classmethod
    def _model(cls, value: dict[str, Any]) -> dict[str, Any]:
        params = dict(value)
        kind = params.pop("kind", None)
        if not isinstance(kind, str):
            raise InputError(cls.where, "expected the name of a model", key="model.kind")
        cls.check_model(params, kind)
        return value

    @field_validator("loss", mode="before")
    @classmethod
    def _loss(cls, value: object) -> object:
        for name in value if isinstance(value, Mapping) else ():
            if name not in cls.loss_terms:
                fix = nearest(str(name), cls.loss_terms)
                raise InputError(cls.where, "no such loss term", key=f"loss.{name}", fix=fix)
        return value
