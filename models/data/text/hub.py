"""The six sets through the library ``datasets``, which is imported only where a suite asks for source "hub"."""

from __future__ import annotations

from lvmcheck.errors import InputError
from models.data.text.records import Record
from models.data.text.rows import records_of

HUB: dict[str, tuple[str, str | None, tuple[str, ...]]] = {
    "gsm8k": ("openai/gsm8k", "main", ("train", "test")),
    "svamp": ("ChilleD/SVAMP", None, ("train", "test")),
    "mbpp": ("google-research-datasets/mbpp", "full", ("train", "validation", "test")),
    "arc_easy": ("allenai/ai2_arc", "ARC-Easy", ("train", "test")),
    "arc_challenge": ("allenai/ai2_arc", "ARC-Challenge", ("train", "test")),
    "hellaswag": ("Rowan/hellaswag", None, ("train", "validation")),
}
"""Repository, configuration and the splits that have answers."""


def read_hub(name: str) -> list[Record]:
    """The records of one set, downloaded or from the library's cache.

    Raises:
        InputError: the library is not installed, or the set cannot be had.
    """
    where = f"data set {name!r}"
    try:
        import datasets
    except ImportError:
        problem = "source 'hub' needs the library datasets, which is not installed"
        raise InputError(
            where, problem, fix='Run pip install "lvmcheck[hf]", or give files with source "qa".'
        ) from None
    repository, configuration, splits = HUB[name]
    records = []
    for split in splits:
        try:
            table = datasets.load_dataset(repository, configuration, split=split)
        except Exception as error:  # the library raises whatever its many back ends raise
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise InputError(where, f"{repository} cannot be loaded ({reason})", key="run.data.source") from None
        found = ((name, number, {**row, "split": split}) for number, row in enumerate(table, 1))
        records += records_of(found, f"{repository} {split}")
    return records
