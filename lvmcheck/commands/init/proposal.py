"""One check that could be written into a suite."""

from __future__ import annotations

from dataclasses import dataclass, field

from lvmcheck.checks.protocol import Check, load_check


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One ``[[check]]`` to be written.

    Args:
        check_name: name of the check. keys: its keys.
        source: which figure of which run it comes from, and what was taken off.
        on: name of the data that its bound belongs to, or None where it holds on any.
        name: its own name, where the check's label would stand twice.
    """

    check_name: str
    source: str
    keys: dict[str, object] = field(default_factory=dict)
    on: str | None = None
    name: str | None = None

    def check(self) -> Check:
        return load_check(self.check_name)(**self.keys)
