"""The [run] table of the vector trainer, checked before torch or numpy is imported."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from lvmcheck.errors import InputError
from models.registry import check_parameters, model_kinds
from models.schema import checked
from models.terms import TERMS
from models.trainers.config import NotNegative, Positive, RunConfig

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


class Config(RunConfig):
    """How one vector model is trained (:class:`models.trainers.config.RunConfig`).

    ``lr`` and ``lr_min`` are per step; ``term_grads_every`` counts optimizer steps. Evaluation is in float32 whatever
    the ``precision``; ``compile`` passes the model through torch.compile.
    """

    where = WHERE
    loss_terms = TERMS

    batch_size: Positive = 32
    eval_batch_size: Positive = 512
    lr: Annotated[float, Field(gt=0)] = 5e-4
    tau: Annotated[float, Field(gt=0)] = 0.07
    schedule: Literal["constant", "plateau", "cosine"] = "plateau"
    lr_min: Annotated[float, Field(ge=0)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    term_grads_every: NotNegative = 100
    compile: bool = False

    @classmethod
    def check_model(cls, params: dict[str, Any], kind: str) -> None:
        check_parameters(kind, params, model_kinds())

    @field_validator("data")
    @classmethod
    def _data(cls, value: dict[str, Any]) -> dict[str, Any]:
        _data_config().validate_data_config(value)
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


def check_ranks(config: Mapping[str, object], ranks: int) -> None:
    """Raises InputError when so many processes cannot train this together as one would."""
    found = parse(config)
    if found.batch_size % ranks:
        problem = f"expected a multiple of the {ranks} ranks that divide every batch, got {found.batch_size}"
        raise InputError(WHERE, problem, key="batch_size")
    coupled = next((term for term in TERMS if term != "mse" and found.loss.get(term, 0.0) > 0), None)
    if coupled is not None:
        problem = f"it compares the rows of a batch, of which each of {ranks} ranks has a part: train it on one rank"
        raise InputError(WHERE, problem, key=f"loss.{coupled}")


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
