"""The [run] table of the language trainer, checked before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, field_validator, model_validator

from lvmcheck.errors import InputError, nearest
from models.data.text.config import (
    BY_NAME,
    GENERATED,
    QA,
    SUFFIXES,
    TextConfig,
    default_sets,
    parse_text_config,
    text_inputs,
)
from models.data.text.records import CONTINUATIONS
from models.optim import config as optim_config
from models.registry import check_parameters, language_kinds
from models.schema import checked
from models.terms import LANGUAGE_TERMS
from models.trainers.config import STRICT, NotNegative, Positive, RunConfig

WHERE = "trainer language"

METRICS: tuple[str, ...] = (
    "train_loss",  # the term ce as optimised: nats per scored token, mean over the scored tokens of the epoch
    *(f"train_{name}" for name in LANGUAGE_TERMS if name != "ce"),  # the other terms, unweighted
    "train_bits_per_byte",
    "val_loss",  # final logits with the weights that are saved: nats per scored token of the validation set
    "val_perplexity",
    "val_bits_per_byte",
    "exact_match",  # share of the questions whose greedy continuation is the right answer
    "exact_match_questions",
    *(f"exact_match_{name}{end}" for name in (*GENERATED, *BY_NAME, *QA) for end in ("", "_questions")),  # by data set
    *(f"val_bits_per_byte_{name}" for name in CONTINUATIONS),  # of texts that have no answer
    "halting_mean",  # steps over scored validation tokens
    "halting_variance",
    "memory_norm",
    "gate_mean",
    "tokens_per_second",  # scored tokens of the training loop alone
    "lr",  # largest of all groups, at the last step of the epoch
)
"""Every metric that the trainer can log at the end of an epoch."""

RATES = ("lr", "muon_lr")
"""Learning rates that may be written in [run] itself."""
REAL_LENGTH, REAL_VOCABULARY = 256, 2048
KEPT = ("length", "packing", "vocabulary", "tokenizer", "mix", "max_share", "limit", "val_records")
"""What of a suite's real data holds for other real data."""


class Stage(BaseModel):
    """A stage of the curriculum: which records, and for how many epochs (``docs/text-data.md``)."""

    model_config = STRICT

    name: Annotated[str, Field(min_length=1)]
    epochs: Positive
    sets: list[str] | None = None
    max_difficulty: Annotated[float, Field(gt=0)] | None = None
    limit: Positive | None = None


class Generation(BaseModel):
    """What is generated after each epoch: greedily and sampled, for ``questions`` of the validation set.

    ``max_new`` counts tokens; ``samples`` continuations of each kind are kept as they are, with the seed prompts'.
    """

    model_config = STRICT

    questions: Positive = 64
    max_new: Positive = 24
    temperature: Annotated[float, Field(gt=0)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    samples: NotNegative = 3


class Config(RunConfig):
    """How one language model is trained (:class:`models.trainers.config.RunConfig`).

    ``batch_size`` counts rows of a micro-batch, ``accumulation`` micro-batches of an optimizer step; ``ema`` 0 is off.
    ``lr`` is AdamW's and ``muon_lr`` Muon's; both, and what ``optimizer`` leaves open, come from its preset
    (:class:`models.optim.config.OptimizerConfig`).
    """

    where = WHERE
    loss_terms = LANGUAGE_TERMS

    batch_size: Positive = 16
    eval_batch_size: Positive = 32
    curriculum: list[Stage] = Field(default_factory=list)
    accumulation: Positive = 1
    optimizer: dict[str, Any] = Field(default_factory=dict)
    lr: Annotated[float, Field(ge=0)] = 0.0
    muon_lr: Annotated[float, Field(ge=0)] | None = None
    schedule: Literal["constant", "cosine"] = "cosine"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["float32", "bf16"] = "float32"
    activation_checkpointing: bool = False
    generation: Generation = Generation()

    @classmethod
    def check_model(cls, params: dict[str, Any], kind: str) -> None:
        check_parameters(kind, {"vocab_size": 1, **params}, language_kinds())

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, table: Any) -> Any:
        """Fills in rates and optimizer, so that the recorded config is the one that runs."""
        optimizer = table.get("optimizer", {}) if isinstance(table, Mapping) else None
        if not isinstance(optimizer, Mapping):
            return table
        above = {name: table[name] for name in RATES if table.get(name) is not None}
        for name in above:
            if optimizer.get(name) not in (None, above[name]):
                problem = f"expected {name} once, got {above[name]!r} in [run] and {optimizer[name]!r} here"
                raise InputError(WHERE, problem, key=f"optimizer.{name}")
        whole = optim_config.parse({**optimizer, **above}).model_dump(mode="json")
        return {**table, "optimizer": whole, **{name: whole[name] for name in RATES}}

    @field_validator("data")
    @classmethod
    def _data(cls, value: dict[str, Any]) -> dict[str, Any]:
        parse_text_config(value)
        return value

    @model_validator(mode="after")
    def _together(self) -> Config:
        if not self.loss.get("ce", 0.0) > 0:
            raise InputError(WHERE, "expected a weight above 0: nothing else says what to predict", key="loss.ce")
        planned = sum(stage.epochs for stage in self.curriculum)
        if self.curriculum and planned != self.epochs:
            problem = f"expected {planned}, the sum of the stages of the curriculum, got {self.epochs}"
            raise InputError(WHERE, problem, key="epochs")
        names = [stage.name for stage in self.curriculum]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(WHERE, f"two stages are called {twice[0]!r}", key="curriculum")
        self._check_sets()
        return self

    def _check_sets(self) -> None:
        data = parse_text_config(self.data)
        known = tuple(data.sets) or default_sets(data.source)
        for stage in self.curriculum if known else ():
            for name in stage.sets or ():
                if name not in known:
                    problem = f"stage {stage.name!r}: no such data set {name!r} here"
                    raise InputError(WHERE, problem, key="curriculum", fix=nearest(name, known))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The curriculum; without one, a single stage of everything."""
        return tuple(self.curriculum) or (Stage(name="all", epochs=self.epochs),)


def parse(config: Mapping[str, object]) -> Config:
    """The config, checked.

    Raises:
        InputError: the first thing wrong; ``key`` is its dotted path below [run].
    """
    return checked(Config, config, WHERE)


def validate(config: Mapping[str, object]) -> None:
    """Raises InputError when the trainer cannot use ``config``; imports neither torch nor numpy."""
    parse(config)


def check_ranks(config: Mapping[str, object], ranks: int) -> None:  # noqa: ARG001
    """Raises InputError: this trainer divides no batch among processes."""
    raise InputError(WHERE, f"trains on one rank, got {ranks}", key="distributed.ranks")


def resolve(config: Mapping[str, object]) -> dict[str, Any]:
    """The config with every default written out: what is recorded, compared and digested.

    Raises:
        InputError: as :func:`parse`.
    """
    return parse(config).model_dump(mode="json")


def input_files(config: Mapping[str, object]) -> list[Path]:
    """The files whose content decides the data of this config: part of what a cached run depends on."""
    return text_inputs(cast(Mapping[str, object], config["data"]))


def data_at(path: Path, run: Mapping[str, Any]) -> dict[str, object]:
    """What changes in [run] when the person brings data of their own: a folder of question sets, or a file.

    Stages that name sets are the suite's own and give way to one stage of everything. Where the suite generates its
    text, real questions are about ten times as long: rows of :data:`REAL_LENGTH` tokens, and at most a tenth as many
    records of each set, so that an epoch keeps its size; a step keeps its tokens.

    Args:
        run: the suite's [run] table.
    """
    own = run.get("data", {})
    changes: dict[str, object] = {"curriculum": []}
    if own.get("source", "generated") == "generated":
        default = TextConfig()
        settings = {"length": REAL_LENGTH, "vocabulary": REAL_VOCABULARY}
        settings["limit"] = max(1, own.get("records", default.records) // 10)
        rows = run.get("batch_size", Config.model_fields["batch_size"].default)
        changes["batch_size"] = max(1, rows * own.get("length", default.length) // REAL_LENGTH)
    else:
        settings = {key: own[key] for key in KEPT if key in own}
    sets = any((path / f"{name}{end}").is_file() for name in QA for end in SUFFIXES)
    return {**changes, "data": {"source": "qa" if sets else "jsonl", "path": str(path), **settings}}
