"""The frame of the gallery: small training programs, each healthy or with one fault planted, recorded as users record.

Two halves, ``tuning`` and ``heldout``, and two later sets, ``second`` and ``third``, hold modules that export
``PROGRAMS``. Each was written by somebody else without a look at the checks, and judged once before any rule was
changed for it (docs/gallery-first.md).
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lvmcheck import Recorder, record

CAUSES = frozenset(
    {
        "class_imbalance",
        "collapsed_representation",
        "data_order",
        "diverging",
        "dominant_term",
        "exploding_gradient",
        "gradients_not_cleared",
        "interrupted",
        "label_mismatch",
        "label_noise",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "learning_rate_zero",
        "loss_constant",
        "loss_not_computed",
        "loss_sign",
        "metric_constant",
        "not_learning",
        "numeric_range",
        "overfitting",
        "schedule_ended_early",
        "schedule_wrong",
        "target_leak",
        "validation_differs",
        "validation_is_training",
        "vanishing_gradient",
        "weights_never_move",
        "weights_reset",
        "wrong_scale",
    }
)
HALVES = ("tuning", "heldout", "second", "third")


class Interrupted(KeyboardInterrupt):
    """Raised by a program that its user would stop by hand; :func:`write` ends the run as an interrupted one."""


class CrashError(RuntimeError):
    """Raised by a program that ends in an error; :func:`write` ends the run as a failed one."""


@dataclass(frozen=True)
class Program:
    """One training program.

    Attributes:
        name: unique in the gallery.
        task: the kind of task, the name of its module.
        healthy: whether nothing is wrong with it.
        fault: what was planted, in a few words; empty where nothing was.
        causes: names of the root cause that are right; several where the recorded figures cannot separate them.
        visible: whether a careful expert can tell from the recorded figures alone that something is wrong.
        why: one sentence: what the figures show, or why a naive judge would be wrong about them.
        train: the program; it reports to the recorder.
        config: what the user declares.
        seed: seeds Python, NumPy and torch before ``train`` is called.
    """

    name: str
    task: str
    healthy: bool
    fault: str
    causes: frozenset[str]
    visible: bool
    why: str
    train: Callable[[Recorder], None]
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.healthy != (not self.fault) or self.healthy != (not self.causes):
            raise ValueError(f"{self.name}: a healthy program has neither fault nor causes, a broken one has both")
        if unknown := self.causes - CAUSES:
            raise ValueError(f"{self.name}: unknown causes: {', '.join(sorted(unknown))}")
        if self.healthy and self.visible:
            raise ValueError(f"{self.name}: a healthy program has nothing that could be visible")


def broken(
    name: str,
    fault: str,
    causes: str,
    why: str,
    train: Callable[[Recorder], None],
    *,
    visible: bool = True,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Program:
    """A program with a fault; ``causes`` are separated by blanks, the task is the module that defines ``train``."""
    named = frozenset(causes.split())
    return Program(name, _task(train), False, fault, named, visible, why, train, dict(config or {}), seed)


def healthy(
    name: str,
    why: str,
    train: Callable[[Recorder], None],
    *,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Program:
    """A program without a fault; ``why`` says what is awkward about it."""
    return Program(name, _task(train), True, "", frozenset(), False, why, train, dict(config or {}), seed)


def _task(train: Any) -> str:
    function = getattr(train, "func", train)  # functools.partial
    return str(function.__module__).rpartition(".")[2]


def discover(half: str) -> list[Program]:
    """All programs of a half, by task and in the order of their module."""
    folder = Path(__file__).parent / half
    found: list[Program] = []
    for file in sorted(folder.glob("*.py")):
        if not file.stem.startswith("_"):
            found += importlib.import_module(f"suites.gallery.{half}.{file.stem}").PROGRAMS
    names = [program.name for program in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{half}: names that are used twice: {', '.join(twice)}")
    return found


def write(program: Program, folder: Path) -> Path:
    """Record ``program`` into a new directory in ``folder``, on one thread and from its seed; returns the directory."""
    path = Path(folder) / program.name
    random.seed(program.seed)
    np.random.seed(program.seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    state = torch.get_rng_state()
    try:
        torch.manual_seed(program.seed)
        with record(path, config=dict(program.config), seed=program.seed, watch=False) as rec:  # curves alone
            program.train(rec)
    except (Interrupted, CrashError):
        pass  # the record says how it ended
    finally:
        torch.set_rng_state(state)
        torch.set_num_threads(threads)
    return path
