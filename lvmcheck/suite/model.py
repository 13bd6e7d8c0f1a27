"""The content of a suite file, typed: the suite, its checks and what a suite of known failures expects of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lvmcheck.checks.across import Across
from lvmcheck.errors import BadValueError, nearest
from lvmcheck.suite.source import Source
from lvmcheck.validation import STRICT

if TYPE_CHECKING:
    from lvmcheck.checks.protocol import Check


@dataclass(frozen=True, kw_only=True)
class Expect:
    """For suites of known failures: the item passes only if its check fails in this way.

    Args:
        outcome: what the check must come to.
        code: the finding's code.
        facts: names that the finding's evidence must hold.
        cause: name of the run's first-ranked cause.
        within_epoch: the epoch by whose end it must have failed.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    outcome: Literal["failed"] = "failed"
    code: str | None = None
    facts: tuple[str, ...] = ()
    cause: str | None = None
    within_epoch: int | None = None

    def __post_init__(self) -> None:
        if self.within_epoch is not None and self.within_epoch < 1:
            raise BadValueError("within_epoch", f"expected an integer of at least 1, got {self.within_epoch}")
        if self.cause is not None:
            from lvmcheck.causes.protocol import cause_names

            if self.cause not in cause_names():
                raise BadValueError("cause", f"no cause {self.cause!r}", nearest(self.cause, cause_names()))


@dataclass(frozen=True, kw_only=True)
class CheckEntry:
    """One ``[[check]]``.

    Args:
        index: its 0-based number in the file.
        name: the entry's own name, in place of the check's label.
        params: the check's own keys, as its fields want them.
        check: the check made of them.
        source: where the criterion comes from.
        abort: a fail stops the run.
        profiles: the profiles it belongs to; None means all.
        calibrated_on: the data on which its bounds were chosen.
        expect: how it must fail, in a suite of known failures.
        across: what all seeds must show together; None asks every seed by itself.
        line: 1-based line of ``[[check]]``.
        lines: 1-based line of each of its keys.
    """

    index: int
    name: str | None = None
    params: Mapping[str, object]
    check: Check
    source: str | None = None
    abort: bool = False
    profiles: tuple[str, ...] | None = None
    calibrated_on: str | None = None
    expect: Expect | None = None
    across: Across | None = None
    line: int
    lines: Mapping[str, int]

    @property
    def node(self) -> str:
        """The name of its pytest item below the seed: ``cosine_floor[train_cosine@1]``."""
        own = self.name or self.check.label()
        return own if self.across is None else f"{own} {self.across.words()}"

    def belongs(self, profile: str) -> bool:
        return self.profiles is None or profile in self.profiles


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One suite at one profile.

    Args:
        path: the file, as it was named.
        name: folder below the nearest folder called ``suites``, such as ``known_failures/amn_790k_attempt_2``; a file
            of another name than ``suite.toml`` adds its stem.
        about: what it is for, in its author's words.
        profile: the chosen profile; ``profiles`` are those that can be chosen.
        trainer: as written; :func:`lvmcheck.suite.trainer.find_trainer` resolves it.
        config: ``[run]`` with the profile and the overrides merged in, without trainer and seeds: plain values.
        seeds: distinct, in the order written; each is one run.
        checks: the checks of this profile in the order of the file.
        declared: how many checks the file has over all profiles.
        sequential: seeds are started one at a time, while what they must show together is open.
        env, inputs, timeout, ranks: how the trainer is launched; see :class:`lvmcheck.suite.tables.RunTable`.
        overridden: dotted keys below ``[run]`` that an override has set.
    """

    path: Path
    name: str
    about: str
    profile: str
    profiles: tuple[str, ...]
    trainer: str
    config: Mapping[str, object]
    seeds: tuple[int, ...]
    checks: tuple[CheckEntry, ...]
    declared: int
    sequential: bool = False
    env: tuple[str, ...] = ()
    inputs: tuple[str, ...] | None = None
    timeout: float | None = None
    ranks: int = 1
    overridden: tuple[str, ...] = ()
    origin: Source = field(repr=False, compare=False)

    @property
    def place(self) -> str:
        """What tells the suites of one session apart."""
        return str(self.path)

    def where(self, dotted: str) -> tuple[Path, int | None]:
        """File and line that decide a key: ``run.loss.mse`` may stand in the profile's table.

        The line is that of the longest known part of the key, and None for what an override has set.
        """
        head, *rest = dotted.split(".")
        if head != "run":
            return self.path, self.origin.lines.nearest((head, *rest))
        if any(covers(key, tuple(rest)) for key in self.overridden):
            return self.path, None
        return self.path, self.origin.lines.nearest(run_path(self.origin, self.profile, tuple(rest)))


def run_path(source: Source, profile: str, key: tuple[str, ...]) -> tuple[str, ...]:
    """Where a key below ``[run]`` was decided: the longest part that the profile names, if as long as that in [run]."""
    for size in range(len(key), 0, -1):
        for front in (("profile", profile), ("run",)):
            if source.lines.exact((*front, *key[:size])) is not None:
                return (*front, *key)
    return ("run", *key)


def covers(key: str, path: tuple[str, ...]) -> bool:
    """Whether the dotted ``key`` is ``path`` or a table that holds it."""
    front = tuple(key.split("."))
    return path[: len(front)] == front
