"""Trainers by name, and the schema that a trainer may keep beside itself; neither imports the trainer."""

from __future__ import annotations

import importlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from lvmcheck.errors import InputError, excerpt, nearest

HOME = "models.trainers"
_WORD = r"[A-Za-z_]\w*"
_SHORT = re.compile(_WORD)
_FULL = re.compile(rf"({_WORD}(?:\.{_WORD})*):({_WORD})")
_TRAIN = re.compile(r"^def train\(", re.MULTILINE)


@dataclass(frozen=True)
class Trainer:
    """Module and function of a trainer, known to exist as a file; nothing of it was run."""

    module: str
    function: str

    def schema(self) -> ModuleType | None:
        """The module ``<trainer module>_config``, or None where the trainer keeps no schema.

        Its ``validate(config)`` raises InputError with the dotted key below ``[run]``; its ``METRICS`` names what the
        trainer can log. Both are optional.

        Raises:
            InputError: it exists but cannot be imported.
        """
        name = f"{self.module}_config"
        if not _exists(name):
            return None
        try:
            return importlib.import_module(name)
        except Exception as problem:
            raise InputError(
                name, f"cannot be imported ({type(problem).__name__}: {excerpt(str(problem), 200)})"
            ) from None


def find_trainer(name: str) -> Trainer:
    """``vector`` is ``models.trainers.vector:train``; anything else is written ``package.module:function``.

    Raises:
        InputError: the name has neither form, or there is no such module; ``where`` is the trainer.
    """
    where = f"trainer {excerpt(name)!r}"
    full = _FULL.fullmatch(name)
    if full is not None:
        trainer = Trainer(full[1], full[2])
        if not _exists(trainer.module):
            fix = "It must be importable from where lvmcheck runs (installed, or on PYTHONPATH)."
            raise InputError(where, f"no module {trainer.module!r}", fix=fix)
        return trainer
    if _SHORT.fullmatch(name) is None:
        raise InputError(where, "expected a short name such as 'vector', or 'package.module:function'")
    trainer = Trainer(f"{HOME}.{name}", "train")
    if not _exists(trainer.module):
        known = trainer_names()
        fix = nearest(name, known) if known else f"No package {HOME} here: run from the root of its repository."
        raise InputError(where, "no such trainer", fix=fix)
    return trainer


def trainer_names() -> list[str]:
    """Short names: the files of ``models.trainers`` that define ``train``, read and not imported."""
    if not _exists(HOME):
        return []
    spec = importlib.util.find_spec(HOME)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    files = (file for folder in folders for file in Path(folder).glob("*.py"))
    return sorted(file.stem for file in files if _TRAIN.search(file.read_text(encoding="utf-8", errors="replace")))


def _exists(module: str) -> bool:
    """Whether the module can be found. Its parent packages are imported, as Python requires; it is not."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
    except Exception as problem:
        package = module.rpartition(".")[0]
        raise InputError(
            package, f"cannot be imported ({type(problem).__name__}: {excerpt(str(problem), 200)})"
        ) from None
