"""The [run] table of the vector trainer, checked before torch or numpy is imported."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lvmcheck.errors import InputError, nearest
from models.registry import check_parameters, model_kinds
from models.schema import checked
from models.terms import TERMS

WHERE = "trainer vector"

METRICS: tuple[str, ...] = (
    "train_loss",  # the optimised total, mean over the samples of the epoch
    *(f"train_loss_{term}" for term in TERMS),  # unweighted terms; one that is not computed is absent
    "train_cosine",  # running: each batch before its own update
    "train_eval_loss",  # a fixed sample of training windows, in eval mode, defined as val_loss
    "train_eval_cosine",
    "val_loss",  # mean squared error of the prediction at unit length: 2 (1 - val_cosine) / D for unit targets
    "val_cosine",
    "val_margin_over_mean_of_context",  # val_cosine minus that of the mean of the context on the same windows
    "val_mean_direction",  # mean cosine of predictions with the targets' mean direction
    "val_target_mean_direction",  # the same of the targets themselves: what a sound predictor approaches
    "val_self_similarity",  # mean cosine of two predictions; 1 is a collapsed model
    "ood_cosine",  # all OOD windows together, through the same model object
    "ood_margin_over_mean_of_context",
    "lr",  # used at the last step of the epoch
)
"""Every metric that the trainer can log at the end of an epoch."""

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]


class Config(BaseModel):
    """How one run is trained. Strict and frozen: unknown keys, and values of another type, are refused.

    ``lr``, ``lr_min`` are per step; ``window`` and ``term_grads_every`` count optimizer steps; ``clip_norm`` 0 is off.
    ``precision`` is that of the training steps, evaluation is in float32; ``compile`` hands the model to torch.compile.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    model: dict[str, Any]
    data: dict[str, Any]
    loss: dict[str, Weight]
    epochs: Positive
    batch_size: Positive = 32
    lr: Annotated[float, Field(gt=0)] = 5e-4
    tau: Annotated[float, Field(gt=0)] = 0.07
    schedule: Literal["constant", "plateau", "cosine"] = "plateau"
    lr_min: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: NotNegative = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Annotated[float, Field(ge=0)] = 1.0
    seed: NotNegative = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Positive = 1
    window: Positive = 50
    term_grads_every: NotNegative = 100
    eval_batch_size: Positive = 512
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    compile: bool = False

    @field_validator("model")
    @classmethod
    def _model(cls, value: dict[str, Any]) -> dict[str, Any]:
        params = dict(value)
        kind = params.pop("kind", None)
        if not isinstance(kind, str):
            raise InputError(WHERE, "expected the name of a model", key="model.kind")
        check_parameters(kind, params, model_kinds())
        return value

    @field_validator("data")
    @classmethod
    def _data(cls, value: dict[str, Any]) -> dict[str, Any]:
        _data_config().validate_data_config(value)
        return value

    @field_validator("loss", mode="before")
    @classmethod
    def _loss(cls, value: object) -> object:
        for name in value if isinstance(value, Mapping) else ():
            if name not in TERMS:
                raise InputError(WHERE, "no such loss term", key=f"loss.{name}", fix=nearest(str(name), TERMS))
        return value

    @model_validator(mode="after")
    def _together(self) -> Config:
        if not any(weight > 0 for weight in self.loss.values()):
            raise InputError(WHERE, "expected at least one loss term with a weight above 0, got none", key="loss")
        if self.lr_min > self.lr:
            raise InputError(WHERE, f"expected at most lr = {self.lr:g}, got {self.lr_min:g}", key="lr_min")
        if self.lr_min and self.schedule != "cosine":
            raise InputError(WHERE, f"only the cosine schedule has it, got schedule {self.schedule!r}", key="lr_min")
        if self.warmup_steps and self.schedule == "plateau":
            raise InputError(WHERE, "the plateau schedule has no warm-up", key="warmup_steps")
        return self


def parse(config: Mapping[str, object]) -> Config:
    """The config, checked.

    Raises:
        InputError: the first thing wrong; ``key`` is its dotted path below [run].
    """
    return checked(Config, config, WHERE)


def validate(config: Mapping[str, object]) -> None:
    """Raises InputError when the trainer cannot use ``config``; imports neither torch nor numpy."""
    parse(config)


def resolve(config: Mapping[str, object]) -> dict[str, Any]:
    """The config with every default written out: what is recorded, compared and digested.

    Raises:
        InputError: as :func:`parse`.
    """
    return parse(config).model_dump(mode="json")


def input_files(config: Mapping[str, object]) -> list[Path]:
    """The files whose content decides the data of this config: part of what a cached run depends on."""
    return cast(list[Path], _data_config().input_files(cast(Mapping[str, object], config["data"])))


def _data_config() -> Any:
    return importlib.import_module("models.data.config")
