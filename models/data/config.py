"""What ``run.data`` may say, one dataclass per source. Imports no numpy, so checking a suite costs nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_type_hints

from lvmcheck.errors import InputError, nearest
from models.data.gates.beside import ENCODERS, Beside
from models.data.readers.kind import folder_names, is_folder
from models.data.recipes import BREAKAGES, RECIPES

SPLITS = ("by_article", "random", "blocks")
DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class TwinConfig:
    """The synthetic twin.

    Attributes:
        recipe: a name in ``models.data.recipes.RECIPES``.
        sequences, val_sequences, ood_sequences: windows of one training epoch, of validation and of the OOD set.
        context: chunks a window shows before its target.
        fresh: new articles every epoch, else the first epoch's again.
        broken: faults put in on purpose (``models.data.recipes.BREAKAGES``).
        dim: width of the vectors; 0 takes the recipe's own.
        dtype: how the vectors are held in memory; batches are float32 either way.
    """

    source: Literal["twin"] = "twin"
    recipe: str = "wiki_584k"
    sequences: int = 16_000
    val_sequences: int = 4_000
    ood_sequences: int = 2_000
    context: int = 5
    fresh: bool = True
    broken: tuple[str, ...] = ()
    dim: int = 0
    dtype: str = "float32"


@dataclass(frozen=True)
class PathConfig:
    """The user's own vectors: a folder, .npz, .npy, .parquet or .jsonl.

    Attributes:
        path: where they are.
        name: what the data are called in reports; empty takes the file's name.
        context: chunks a window shows before its target.
        split: by_article, random (leaks) or blocks.
        val_fraction: share of the windows held out.
        split_seed: which articles (or blocks, or windows) are held out; never the run's seed.
        ood: further paths, each an OOD set evaluated whole.
        reference, texts, golden, encoder: what gates compare the data with (:class:`models.data.gates.beside.Beside`);
            paths of a corpus that the data should contain, of the rows' texts and of golden vectors.
    """

    path: str
    source: Literal["path"] = "path"
    name: str = ""
    context: int = 5
    split: str = "by_article"
    val_fraction: float = 0.1
    split_seed: int = 0
    ood: tuple[str, ...] = ()
    reference: str = ""
    texts: str = ""
    golden: str = ""
    encoder: str = ""

    @property
    def beside(self) -> Beside:
        return Beside(self.reference, self.texts, self.golden, self.encoder)


@dataclass(frozen=True)
class TextConfig:
    """The reference prose of Python's ``pydoc_data.topics``, embedded on this machine (extra ``embed``)."""

    source: Literal["text"] = "text"
    context: int = 5
    split: str = "by_article"
    val_fraction: float = 0.2
    split_seed: int = 0


DataConfig = TwinConfig | PathConfig | TextConfig
SOURCES: dict[str, type[TwinConfig] | type[PathConfig] | type[TextConfig]] = {
    "twin": TwinConfig,
    "path": PathConfig,
    "text": TextConfig,
}
_AT_LEAST = {"sequences": 1, "val_sequences": 2, "ood_sequences": 0, "context": 1, "dim": 0, "split_seed": 0}
_AT_MOST = {"sequences": 10**8, "val_sequences": 10**7, "ood_sequences": 10**7, "context": 512, "dim": 16_384}
_CHOICES: dict[str, tuple[str, ...]] = {
    "recipe": tuple(RECIPES),
    "split": SPLITS,
    "dtype": DTYPES,
    "broken": tuple(BREAKAGES),
    "encoder": ("", *ENCODERS),
}


def parse_data_config(config: Mapping[str, object], *, where: str | Path = "suite") -> DataConfig:
    """The typed configuration of one source.

    Args:
        config: the table ``run.data``; ``source`` defaults to "twin", or "path" where a ``path`` is given.
        where: the file to name in errors.

    Raises:
        InputError: unknown source, key or name, a wrong type or a value out of range; ``key`` is "run.data.<key>".
    """
    source = config.get("source", "path" if "path" in config else "twin")
    if not isinstance(source, str) or source not in SOURCES:
        raise _error(where, "source", f"unknown source {source!r}", nearest(str(source), SOURCES))
    kind = SOURCES[source]
    known = [item.name for item in fields(kind)]
    for key in config:
        if key not in known:
            raise _error(where, str(key), f"unknown key for source {source!r}", nearest(str(key), known))
    if kind is PathConfig and not config.get("path"):
        raise _error(where, "path", "missing: source 'path' needs the place of the vectors", None)
    hints = get_type_hints(kind)
    values = {key: _value(where, key, hints[key], value) for key, value in config.items() if key != "source"}
    _check_dim(where, values)
    return kind(**values)  # type: ignore[arg-type]  # every value was checked against the field's own type


def validate_data_config(config: Mapping[str, object], *, where: str | Path = "suite") -> None:
    """Raise the :class:`InputError` of :func:`parse_data_config`, or return."""
    parse_data_config(config, where=where)


def input_files(config: Mapping[str, object], *, where: str | Path = "suite") -> list[Path]:
    """The files whose content decides the data, sorted; for a run's cache key. The twin has none.

    Files inside a folder are those that may be read: FOLDER_FILES, and BESIDE_FILES too where gates compare with it. A
    path that does not exist is listed all the same, so that its appearance changes the key.
    """
    parsed = parse_data_config(config, where=where)
    if isinstance(parsed, TwinConfig):
        return []
    if isinstance(parsed, TextConfig):
        import pydoc_data

        return [Path(pydoc_data.__file__ or "").with_name("topics.py")]
    found: list[Path] = []
    compared = [place for place in (parsed.reference, parsed.texts, parsed.golden) if place]
    for place in (parsed.path, *parsed.ood, *compared):
        path = Path(place)
        names = (*FOLDER_FILES, *BESIDE_FILES) if place in compared else FOLDER_FILES
        held = folder_names(path) if is_folder(path) else ()
        inside = [path / name for name in held if name in names or SHARD.fullmatch(name)]
        found += inside or [path]
    return sorted(set(found))


FOLDER_FILES = ("vectors.npy", "article.npy", "sequences.npz")
"""What a folder of vectors may hold; only the first is required, or shards instead of it."""
SHARD = re.compile(r"vectors-(\d{5})(?:-of-(\d{5}))?\.npy")
"""Name of one of several files that hold the vectors, in the order of their numbers from 0 on."""
BESIDE_FILES = ("texts.jsonl.gz", "texts.jsonl", "texts.txt.gz", "texts.txt", "row.npy")
"""What a folder of texts or golden vectors may hold besides."""


def _value(where: str | Path, key: str, hint: object, value: object) -> object:
    """``value`` as the field's type, or the error that says what was expected."""
    if hint == tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise _error(where, key, f"expected a list of strings, got {value!r}", None)
        for item in value:
            _check_choice(where, key, item)
        return tuple(value)
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value <= 0.5:
            raise _error(where, key, f"expected a fraction above 0 and at most 0.5, got {value!r}", None)
        return float(value)
    if hint is int:
        low, high = _AT_LEAST.get(key, 0), _AT_MOST.get(key, 2**63 - 1)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _error(where, key, f"expected an integer from {low} to {high}, got {value!r}", None)
        return value
    if hint is bool and not isinstance(value, bool):
        raise _error(where, key, f"expected true or false, got {value!r}", None)
    if hint is str:
        if not isinstance(value, str):
            raise _error(where, key, f"expected a string, got {value!r}", None)
        _check_choice(where, key, value)
    return value


def _check_dim(where: str | Path, values: Mapping[str, object]) -> None:
    """A twin's directions must fit into its vectors."""
    dim, recipe = values.get("dim"), RECIPES[str(values.get("recipe", TwinConfig.recipe))]
    least = 1 + recipe.rank + recipe.form_rank
    if isinstance(dim, int) and 0 < dim < least:
        raise _error(where, "dim", f"expected 0 or at least {least}, the directions of the recipe, got {dim}", None)


def _check_choice(where: str | Path, key: str, value: str) -> None:
    choices = _CHOICES.get(key)
    if choices is not None and value not in choices:
        raise _error(where, key, f"unknown name {value!r}", nearest(value, [name for name in choices if name]))


def _error(where: str | Path, key: str, problem: str, fix: str | None) -> InputError:
    return InputError(where, problem, key=f"run.data.{key}", fix=fix)
