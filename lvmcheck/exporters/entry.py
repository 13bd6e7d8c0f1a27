"""What an exporter is handed, the same for all: rows of numbers, tables of text, what a run is and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where an entry stands.

    Args:
        step: optimizer steps done; the epoch for a run that counts no steps.
        epoch: 1-based.
        time: seconds since 1970, rising by at least a millisecond from entry to entry.
    """

    step: int
    epoch: int
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalars:
    """Numbers that were recorded together, by tag; NaN and infinities are among them."""

    place: Position
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """Text that was recorded at one moment: every row has one text for each column."""

    place: Position
    tag: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Markdown in which every text stands as it is: indented code, that nothing inside can end or format.

        One row gives a block for each column that is not empty, several rows give one block of aligned lines.
        """
        if len(self.rows) == 1:
            blocks = [(name, text) for name, text in zip(self.columns, self.rows[0], strict=True) if text]
            return "\n\n".join(f"**{name}**\n\n{_code(text.splitlines())}" for name, text in blocks)
        flat = [self.columns, *(tuple(" ".join(text.split()) for text in row) for row in self.rows)]
        widths = [max(len(row[i]) for row in flat) for i in range(len(self.columns))]
        return _code(
            ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in flat]
        )


def _code(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines) or "    "


Entry = Scalars | TextTable


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRun:
    """What is exported.

    Args:
        name: what the logger calls it.
        identity: 16 hexadecimal digits; the same whenever this run is exported.
        started: seconds since 1970.
        config: the run's configuration, nested, with numbers that are not finite spelled out.
        facts: seed, suite, profile, device, versions, by dotted name.
    """

    name: str
    identity: str
    started: float
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How it ended, as far as the export goes.

    Args:
        status: "finished", "stopped", "interrupted", "failed", "died", or "open" without a completion record.
        sentence: the same in words.
        digest: sha256 of everything that was exported.
        verdict: ``passed: 36 of 36`` or ``failed: loss_balance``; None where nothing was judged.
        place: that of the last entry.
    """

    status: str
    sentence: str
    digest: str
    verdict: str | None
    place: Position


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones: ``{"loss": {"mse": 1.0}}`` is ``{"loss.mse": 1.0}``; other values stay."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
