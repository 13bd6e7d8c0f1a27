"""What is reported of one pytest session, typed: suites with their runs, checks and causes, and what else happened.

The JSON report is these classes field by field, and its schema is made of them (:mod:`.json_report`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.checks.finding import Verdict

FORMAT = 4
"""Version of the JSON report; raised when a field changes its meaning or goes."""
NOT_FINISHED = "not finished"
STATUS = {0: "passed", 1: "failed", 2: "interrupted", 3: "internal error", 4: "usage error", 5: "no tests"}
RunStatus = Literal["finished", "stopped", "died", "not started", "open"]
"""pytest's exit statuses in words."""


class Part:
    """Base of all parts: when a report is read, unknown keys are refused."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Git(Part):
    """The checkout: ``changed`` are the first 20 paths that differ from the commit or are not part of it."""

    commit: str
    dirty: bool
    changed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SourceFile(Part):
    """A file that was read or imported: its path from the root of the checkout, and the hash that git gives it."""

    path: str
    blob: str


@dataclass(frozen=True, kw_only=True)
class CheckReport(Part):
    """One check of one seed, asked for or left out, and what pytest made of its item.

    Attributes:
        verdict: its answer; pending because "not run" where there is none.
        node: its pytest node id.
        pytest: passed, failed, skipped, deselected or nothing.
        attempts: how often it was run in this session.
    """

    verdict: Verdict
    node: str
    pytest: str
    attempts: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunReport(Part):
    """The run of one seed.

    Attributes:
        folder: its directory.
        key: sha256 of what decided its numbers, as its directory says; ``required_key`` that of this checkout.
        config: sha256 of its configuration; ``source`` that of the trainer's files; ``inputs`` those of its data.
        opened: sha256 of each file below the checkout that it opened and had not made; None where that is not known.
        device: the kind of device that was expected, ``used_device`` the one that the trainer recorded.
        nonce: what a gate had handed to the session in which all its events were made; empty without one.
        own: trained, or trained on, by this session; else ``reused`` says when it was trained.
        ended: how and where it ended, in words; ``status`` in one: finished, stopped, died, not started, open.
        samples_per_second: median over its epochs (or windows) without the first; None where it is unknown.
    """

    seed: int
    folder: str
    key: str | None
    required_key: str
    config: str
    source: str
    inputs: dict[str, str]
    opened: dict[str, str] | None
    versions: dict[str, str]
    device: str
    used_device: str | None
    created: str | None
    nonce: str = ""
    own: bool
    reused: str | None
    status: RunStatus
    ended: str
    last_epoch: int
    epochs: int | None
    step: int
    samples_per_second: float | None


@dataclass(frozen=True, kw_only=True)
class CauseReport(Part):
    """A root cause of a run's failures, the likeliest first; ``message`` says it in words."""

    seed: int
    diagnosis: Diagnosis
    message: str


@dataclass(frozen=True, kw_only=True)
class SuiteReport(Part):
    """One suite file at one profile.

    Attributes:
        file: its path from the root of the checkout.
        digest: sha256 of the file as it was read.
        declared: how many checks the file has over all profiles.
        overridden: keys below ``[run]`` that the command line replaced.
        checks: every check of this profile at every seed, also those that were left out.
    """

    name: str
    about: str
    file: str
    digest: str
    profile: str
    device: str
    trainer: str
    seeds: tuple[int, ...]
    sequential: bool
    declared: int
    overridden: tuple[str, ...]
    runs: tuple[RunReport, ...]
    checks: tuple[CheckReport, ...]
    causes: tuple[CauseReport, ...]


@dataclass(frozen=True, kw_only=True)
class Tests(Part):
    """Counts over all pytest items of the session, those that are no checks included."""

    collected: int = 0
    deselected: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0


@dataclass(frozen=True, kw_only=True)
class Trouble(Part):
    """What failed without being a check: a test, a fixture, the collection of a file, a benchmark's throughput, or
    a function of lvmcheck that other code has replaced."""

    where: str
    when: Literal["collection", "setup", "call", "teardown", "throughput", "judging"]
    message: str


@dataclass(frozen=True, kw_only=True)
class TrainedReport(Part):
    """What a Python test asked of a training that it called for.

    Attributes:
        node: the pytest node id of the test.
        training: name of the training, as its runs are named.
        run: directory of the run that decided; None where none was made.
    """

    node: str
    training: str
    run: str | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class SessionReport(Part):
    """The whole session.

    Attributes:
        started, ended: UTC, ISO 8601; ``ended`` is None in the report that stands there while the session goes on.
        status: passed, failed, interrupted, internal error, usage error, no tests or not finished.
        exit_status: pytest's.
        arguments: its command line.
        nonce: what a gate handed to this session (LVMCHECK_NONCE); empty without one.
        files: what was executed and read: suites, modules of this process and of trainers, conftest files.
        git: the checkout when the session began, ``git_after`` when it ended; None outside a repository.
    """

    format: int = FORMAT
    lvmcheck: str
    python: str
    platform: str
    session: str
    started: str
    ended: str | None = None
    seconds: float = 0.0
    status: str = NOT_FINISHED
    exit_status: int | None = None
    arguments: tuple[str, ...] = ()
    nonce: str = ""
    files: tuple[SourceFile, ...] = ()
    git: Git | None = None
    git_after: Git | None = None
    tests: Tests = Tests()
    troubles: tuple[Trouble, ...] = ()
    suites: tuple[SuiteReport, ...] = ()
    trained: tuple[TrainedReport, ...] = ()
