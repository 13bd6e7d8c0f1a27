"""Training and validation disjoint by question: the side is a hash of the question's group, so seeds cannot move it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.data.text.records import Record, group_of


@dataclass(frozen=True)
class Split:
    """Two disjoint lists. ``removed`` training records shared their group with a held-out one; ``notes`` say so."""

    train: list[Record]
    validation: list[Record]
    removed: int
    notes: tuple[str, ...]


def rank(text: str) -> float:
    """A number in [0, 1) that the text decides: equal texts, equal ranks."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def held_out(record: Record, fraction: float) -> bool:
    """Whether a record without an official split belongs to validation."""
    return rank(group_of(record)) < fraction


def split(records: Sequence[Record], *, fraction: float, val_records: int) -> Split:
    """Every set's own split where it has one (``train`` against the rest), else ``fraction`` of its groups held out.

    Training records that share a group with any held-out record, of whatever set, are removed: an official split
    with duplicates across it is still a leak. At most ``val_records`` of a set are kept for validation, by rank.
    """
    by_set: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_set[record.dataset].append(record)
    train: list[Record] = []
    held: dict[str, list[Record]] = {}
    notes = []
    for name, members in by_set.items():
        own = {record.split for record in members}
        official = "train" in own and len(own) > 1
        chosen = [record.split != "train" if official else held_out(record, fraction) for record in members]
        held[name] = [record for record, is_held in zip(members, chosen, strict=True) if is_held]
        train += [record for record, is_held in zip(members, chosen, strict=True) if not is_held]
        how = "its own split" if official else f"{fraction:.0%} of its questions held out by hash"
        notes.append(f"{name}: {how}")
    groups = {group_of(record) for members in held.values() for record in members}
    kept = [record for record in train if group_of(record) not in groups]
    removed = len(train) - len(kept)
    if removed:
        notes.append(f"{removed} training records removed: the same question is held out")
    return Split(
        kept, [record for members in held.values() for record in first(members, val_records)], removed, (*notes,)
    )


def first(records: Sequence[Record], count: int | None) -> list[Record]:
    """At most ``count`` of the records, those whose text has the lowest rank, in their order."""
    if count is None or len(records) <= count:
        return list(records)
    ranked = sorted(range(len(records)), key=lambda index: (rank(records[index].text), index))[:count]
    return [records[index] for index in sorted(ranked)]


def overlap(train: Iterable[Record], validation: Sequence[Record]) -> float:
    """Share of the validation records whose group occurs among the training records; NaN without validation."""
    known = {group_of(record) for record in train}
    shared = sum(group_of(record) in known for record in validation)
    return shared / len(validation) if validation else float("nan")
