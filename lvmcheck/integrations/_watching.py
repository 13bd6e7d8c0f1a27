"""What the callbacks share: how a run is recorded, judged and watched."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lvmcheck.errors import InputError
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.start import record

OnFail = Literal["stop", "warn"] | Callable[[Any], None]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The arguments of a callback.

    Args:
        path: the run directory.
        replace: move a run that is already there aside.
        suite: a suite file whose checks judge the run while it is trained.
        on_fail: what else a failed check does: "stop" stops the trainer, a function is given the verdict.
        looks: the models that are trained are found and watched; a callback that knows them hands them over itself.
    """

    path: str | os.PathLike[str]
    replace: bool = False
    suite: str | os.PathLike[str] | None = None
    on_fail: OnFail | None = None
    looks: bool = False

    def start(self, config: Mapping[str, Any], seed: int | None) -> Recorder:
        """Begin the run."""
        return record(
            self.path,
            config=config,
            seed=seed,
            replace=self.replace,
            suite=self.suite,
            on_fail=self.on_fail,
            watch=self.looks,
        )


def watched(recorder: Recorder, asked: bool | None, model: Any, optimizer: Any, scheduler: Any) -> Any:
    """The watcher of what a trainer trains; None where nobody wants one, or nobody asked and there can be none."""
    if asked:
        return recorder.watch(model, optimizer, scheduler)
    try:
        return None if asked is False else recorder.watch_found(model, optimizer, scheduler)
    except InputError:
        return None


def watched_part(module: Any, watch: bool | str | None, called: bool) -> Any:
    """The module to watch: the one that is named, else the whole, or its only child where the whole is not called.

    Args:
        watch: True, or the dotted name of a submodule.
        called: the training step calls the module itself.

    Raises:
        InputError: there is no such submodule.
    """
    if isinstance(watch, str):
        try:
            return module.get_submodule(watch)
        except AttributeError:
            names = ", ".join(name for name, _ in module.named_children()) or "none"
            where = type(module).__name__
            raise InputError(where, f"has no submodule {watch!r}; it has: {names}", key="watch") from None
    own = {id(parameter) for parameter in module.parameters()}
    for child in () if called else module.children():
        if {id(parameter) for parameter in child.parameters()} == own:
            return child
    return module
