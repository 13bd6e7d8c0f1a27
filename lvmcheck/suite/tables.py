"""The tables of a suite file, without the keys that belong to a check or a trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from lvmcheck.errors import BadValueError, excerpt
from lvmcheck.suite.model import Expect
from lvmcheck.validation import STRICT

MAX_SEED = 2**32 - 1
MOST_SECONDS = 1e8
"""Three years."""
RUN_KEYS = ("trainer", "seeds", "env", "inputs", "timeout", "distributed")
"""Keys of ``[run]`` that no trainer receives; ``epochs`` it does."""
SEEDS = "a list such as [0, 1, 2]"


@dataclass(frozen=True, kw_only=True)
class SuiteTable:
    """``[suite]``."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    about: str
    checks: int
    default_profile: str | None = None
    end: bool = False
    sequential: bool = False

    def __post_init__(self) -> None:
        if self.checks < 1:
            raise BadValueError(
                "checks", f"expected at least 1, got {self.checks}: a suite without checks proves nothing"
            )


MOST_RANKS = 1024


@dataclass(frozen=True, kw_only=True)
class DistributedTable:
    """``[run.distributed]``: ``ranks`` processes train one model together, each a part of every batch."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    ranks: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.ranks <= MOST_RANKS:
            raise BadValueError("ranks", f"expected 1 to {MOST_RANKS} ranks, got {self.ranks}")


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """What ``[run]`` has, whoever trains it; its other keys belong to the trainer.

    Args:
        env: environment variables that the trainer sees beside the usual ones; they become part of the key.
        inputs: files, folders and patterns whose content is part of the key. They count as everything that is read
            where it cannot be seen.
        timeout: seconds without a step, an event or output after which the trainer is taken to hang.
        distributed: how many processes train one model.
    """

    trainer: str
    epochs: int
    seeds: list[int]
    env: tuple[str, ...] = ()
    inputs: tuple[str, ...] | None = None
    timeout: float | None = None
    distributed: DistributedTable = field(default_factory=DistributedTable)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise BadValueError("epochs", f"expected an integer of at least 1, got {self.epochs}")
        if not self.seeds:
            raise BadValueError("seeds", f"expected {SEEDS}, got none")
        if self.timeout is not None and not 0 < self.timeout < MOST_SECONDS:
            raise BadValueError("timeout", f"expected seconds above 0, got {self.timeout}")
        for name in self.env:
            if not name or "=" in name or not name.isprintable():
                raise BadValueError("env", f"expected names of environment variables, got {excerpt(name)!r}")
        for seed in self.seeds:
            if not 0 <= seed <= MAX_SEED:
                raise BadValueError("seeds", f"expected integers from 0 to {MAX_SEED:,}, got {seed}")
            if self.seeds.count(seed) > 1:
                raise BadValueError("seeds", f"expected distinct seeds, got {seed} more than once")


@dataclass(frozen=True, kw_only=True)
class EntryTable:
    """The keys that every ``[[check]]`` may have beside those of its check."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    check: str
    name: str | None = None
    source: str | None = None
    abort: bool = False
    profiles: tuple[str, ...] | None = None
    calibrated_on: str | None = None
    expect: Expect | None = None
    across: str | None = None
    p: float | None = None

    def __post_init__(self) -> None:
        # A name becomes part of a pytest node id, so it must not look like two of them.
        name = self.name
        if name is not None and (not name.strip() or not name.isprintable() or "::" in name or len(name) > 100):
            problem = f"expected 1 to 100 printable characters without '::', got {excerpt(name)!r}"
            raise BadValueError("name", problem)
        if self.profiles == ():
            raise BadValueError("profiles", "expected at least one profile, got none")
        if self.p is not None and self.across is None:
            raise BadValueError("p", 'expected across = "mean" beside it')
        for key in ("abort", "expect"):
            if self.across is not None and getattr(self, key):
                raise BadValueError(key, "expected no such key beside across: it belongs to one run")
