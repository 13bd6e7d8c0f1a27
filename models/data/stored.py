"""Data that exist before the run: the user's own files and embedded text, split into train and validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lvmcheck.errors import InputError
from models.data.config import PathConfig, TextConfig
from models.data.parts import Parts
from models.data.readers.archive import Archive
from models.data.readers.folder import read_folder, read_single
from models.data.readers.jsonl import read_jsonl
from models.data.readers.kind import expect, is_folder, kind_of
from models.data.readers.loaded import Loaded
from models.data.readers.parquet import read_parquet
from models.data.readers.store_npz import read_store
from models.data.readers.text import read_text
from models.data.readers.windows_npz import is_windows, read_windows
from models.data.split import Split, at_random, by_article, in_blocks, leak
from models.data.store import Windows


def open_path(config: PathConfig, *, strict: bool = True) -> Parts:
    """The vectors at ``config.path`` as parts of a dataset, with every OOD path beside them; ``strict`` as in read."""
    path = Path(config.path)
    loaded = read(path, config.context, strict=strict)
    ood: dict[str, Windows] = {}
    notes: list[str] = []
    for other in map(Path, config.ood):
        read_ood = read(other, config.context, strict=strict)
        if read_ood.windows.dim != loaded.windows.dim:
            raise InputError(
                other, f"vectors have {read_ood.windows.dim} dimensions; expected {loaded.windows.dim}, as in {path}"
            )
        name = _unique(_name(other), ood)
        ood[name] = read_ood.windows
        notes += [f"OOD {name}: {note}" for note in read_ood.notes]
    return divide(config.name or _name(path), path, loaded, config, ood=ood, notes=tuple(notes), strict=strict)


def open_text(config: TextConfig, cache: Path) -> Parts:
    """Python's reference prose as parts of a dataset."""
    loaded = read_text(cache, config.context)
    return divide("pydoc_topics", cache / "text", loaded, config, ood={})


def read(path: Path, context: int, *, strict: bool = True) -> Loaded:
    """Read whatever lies at ``path``: a folder, or a file of the kind its first bytes tell.

    Faulty vectors (non-finite, zero, off unit length) are refused where ``strict``, else left for gates to measure.
    """
    if is_folder(path):
        return read_folder(path, context, strict=strict)
    kind = kind_of(path)
    if kind == "npy":
        return read_single(path, context, strict=strict)
    if kind == "parquet":
        return read_parquet(path, context, strict=strict)
    if kind == "json":
        return read_jsonl(path, context, strict=strict)
    expect(path, "zip")
    with Archive(path) as archive:
        reader = read_windows if is_windows(archive) else read_store
        return reader(archive, context, strict=strict)


def divide(
    name: str,
    path: Path,
    loaded: Loaded,
    config: PathConfig | TextConfig,
    *,
    ood: dict[str, Windows],
    notes: tuple[str, ...] = (),
    strict: bool = True,
) -> Parts:
    """Split as configured, as far as the data allow; the name of the split says what was really done.

    One article alone is refused where ``strict``, else split in blocks.
    """
    if loaded.validation is not None:
        train, validation, kind = loaded.windows, loaded.validation, "recorded"
        said: tuple[str, ...] = (
            f"split as recorded in the file: {leak(train, validation):.1%} of the validation targets are in train",
        )
    else:
        kind, split = _split(path, loaded, config, strict)
        train, validation, said = split.train, split.validation, split.notes
    if not len(train) or not len(validation):
        raise InputError(
            path,
            f"{len(loaded.windows)} windows split into {len(train)} for training and {len(validation)} for validation; "
            "expected some of both",
            fix="Use more data, or another data.val_fraction.",
        )
    return Parts(
        name=name,
        split=kind,
        train=lambda _epoch: train,
        validation=validation,
        ood=ood,
        notes=(*loaded.notes, *said, *notes),
        grouped=loaded.grouped,
        whole=loaded.windows if loaded.validation is None else None,
        left_article=loaded.left_article,
    )


def _split(path: Path, loaded: Loaded, config: PathConfig | TextConfig, strict: bool) -> tuple[str, Split]:
    windows, fraction, seed = loaded.windows, config.val_fraction, config.split_seed
    if len(windows) < 2:
        raise InputError(path, f"{len(windows)} window; expected at least 2, one to train on and one to validate")
    if config.split == "random":
        return "random", at_random(windows, fraction, seed)
    alone = not strict and len(np.unique(windows.articles())) < 2
    if config.split == "blocks" or not loaded.grouped or alone:
        return "blocks", in_blocks(windows, fraction, seed)
    try:
        split = by_article(windows, fraction, seed)
    except ValueError as error:
        raise InputError(path, str(error), fix='Set data.split = "blocks".') from None
    return f"by_{loaded.grouped}", split


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.resolve().name


def _unique(name: str, taken: dict[str, Windows]) -> str:
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique
