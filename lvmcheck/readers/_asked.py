"""What the caller wants of a file beyond its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Options of a reader.

    Args:
        columns: our name -> the file's name; "epoch" and "step" are the axes.
        run: id or name of the run, where the file holds several.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    run: str | None = None
