"""The data at a path measured for ``lvmcheck gate``: faulty vectors are let in and measured, not refused."""

from __future__ import annotations

from collections.abc import Mapping

from lvmcheck.errors import InputError
from models.data.config import PathConfig, parse_data_config
from models.data.dataset import Dataset
from models.data.figures import Fact

ASKED = {
    "reference": ("gate.reference.skipped", "no reference corpus was given (--reference)"),
    "texts": ("gate.texts.skipped", "no texts were given (--texts)"),
    "golden": ("gate.golden.skipped", "no golden vectors were given (--golden)"),
}


def measure_path(config: Mapping[str, object]) -> tuple[Dataset, dict[str, Fact]]:
    """The dataset that ``config`` (:class:`models.data.config.PathConfig`) describes, and all its facts.

    Raises:
        InputError: a path that cannot be read, or vectors of another width.
    """
    parsed = parse_data_config(config, where="lvmcheck gate")
    if not isinstance(parsed, PathConfig):
        raise InputError("lvmcheck gate", f"expected data source 'path', got {parsed.source!r}")
    from models.data.stored import open_path

    dataset = Dataset("path", open_path(parsed, strict=False), parsed.beside)
    facts = dataset.facts()
    for key, (fact, reason) in ASKED.items():
        if not getattr(parsed, key):
            facts[fact] = reason
    if not parsed.ood:
        facts["gate.ood.skipped"] = "no OOD set was given (--ood)"
    return dataset, facts
