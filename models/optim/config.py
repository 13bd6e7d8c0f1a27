"""The [run.optimizer] table, checked before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lvmcheck.errors import InputError, nearest
from models.optim.presets import PRESETS
from models.schema import checked

WHERE = "optimizer"
GROUPS: dict[str, str] = {"hidden": "muon", "embedding": "adamw", "scalar": "adamw"}
"""The parameter groups and the rule that updates each in MuGrokfast."""

_FILTERED = ("preset", "muon_lr", "momentum", "grokfast_alpha", "grokfast_lambda")
_DEFAULTS: dict[str, Any] = {"preset": "phase1", "momentum": 0.95}

Rate = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(BaseModel):
    """Which optimizer, and its settings. Strict and frozen; whatever is not said comes from the preset.

    Attributes:
        lr: of embeddings, norms, biases and one-row matrices. muon_lr: of hidden matrices.
        group_lr: another rate for a group, by its name in :data:`GROUPS`.
        weight_decay: decoupled, on matrices and embeddings.
        momentum: of Muon. grokfast_alpha, grokfast_lambda: decay and gain of the low-pass filter, 0 gain is off.
            These and ``muon_lr`` are None for kind "adamw", which has none of them.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["mugrokfast", "adamw"] = "mugrokfast"
    preset: str | None = None
    lr: Rate = 1e-3
    muon_lr: Rate | None = None
    group_lr: dict[str, Rate] = Field(default_factory=dict)
    weight_decay: Rate = 0.01
    momentum: Decay | None = None
    grokfast_alpha: Decay | None = None
    grokfast_lambda: Rate | None = None

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, table: Any) -> Any:
        if not isinstance(table, Mapping):
            return table
        given = {key: value for key, value in table.items() if value is not None}
        if given.get("kind", "mugrokfast") != "mugrokfast":
            needless = next((name for name in _FILTERED if name in given), None)
            if needless:
                raise refused(needless, f"only kind 'mugrokfast' has it, got kind {given['kind']!r}")
            return given
        given = {**_DEFAULTS, **given}
        preset = PRESETS.get(given["preset"]) if isinstance(given["preset"], str) else None
        if preset is None:
            raise refused("preset", f"no such preset {given['preset']!r}", nearest(str(given["preset"]), PRESETS))
        named = {key: value for key, value in vars(preset).items() if key != "about"}
        return {**named, **given}

    @model_validator(mode="after")
    def _known_groups(self) -> OptimizerConfig:
        for name in self.group_lr:
            if name not in GROUPS:
                raise refused(f"group_lr.{name}", "no such parameter group", nearest(name, GROUPS))
        return self

    def rate(self, group: str) -> float:
        """The base learning rate of ``group``."""
        muon = self.muon_lr is not None and GROUPS[group] == "muon"
        return self.group_lr.get(group, self.muon_lr if muon and self.muon_lr is not None else self.lr)


def parse(table: Mapping[str, object]) -> OptimizerConfig:
    """The table, checked; ``model_dump`` of the result parses to the same.

    Raises:
        InputError: the first thing wrong, with key ``run.optimizer.<name>``.
    """
    try:
        return checked(OptimizerConfig, table, WHERE)
    except InputError as error:
        name = (error.key or "").removeprefix("optimizer.")
        raise InputError(error.where, error.problem, key=f"run.optimizer.{name}", fix=error.fix) from None


def refused(name: str, problem: str, fix: str | None = None) -> InputError:
    """The error for a setting of the optimizer, under its key in the run's config."""
    return InputError(WHERE, problem, key=f"run.optimizer.{name}", fix=fix)
