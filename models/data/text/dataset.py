"""The door to language data: ``open_text(run.data, seed=...)`` gives stages, validation, questions and facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lvmcheck.errors import InputError
from models.data.text.answers import final_of
from models.data.text.batches import TokenBatch, TokenSet
from models.data.text.config import DEFAULT_VOCABULARY, GENERATED, TRAINED, TextConfig, default_sets, parse_text_config
from models.data.text.corpus import Corpus, tokenise
from models.data.text.curriculum import Fact, StageData, StageSpec, build_stage, same_as_before
from models.data.text.facts import compressor_bits_per_byte, loss_floor
from models.data.text.mix import largest_share
from models.data.text.numbers import ReversedNumbers
from models.data.text.records import CONTINUATIONS, Question, Record, fingerprint
from models.data.text.split import Split, first, overlap, split
from models.data.text.tokenizer import ByteTokenizer, TextTokenizer, train_bpe

ALL = StageSpec("all", 1)


@dataclass(frozen=True)
class TextData:
    """Everything a language run trains on and is judged by.

    Attributes:
        name, notes: for reports. config: as given, checked. tokenizer: see :class:`TextTokenizer`.
        train, held: training and validation records, tokenised. removed: training records that were also held out.
        too_long: records of each set that do not fit into a row and were kept out.
    """

    name: str
    config: TextConfig
    tokenizer: TextTokenizer
    train: Corpus
    held: Corpus
    removed: int
    too_long: Mapping[str, int]
    notes: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over the training records, the validation records and the tokenizer."""
        scored = () if self.config.score == "all" else (self.config.score,)
        return fingerprint((), self.train.fingerprint, self.held.fingerprint, self.tokenizer.digest, *scored)

    def stage(self, spec: StageSpec) -> StageData:
        """The training records of one stage.

        Raises:
            InputError: a set that is not open, or no record left.
        """
        return build_stage(
            spec,
            self.train,
            pad=self.tokenizer.pad,
            length=self.config.length,
            packing=self.config.packing,
            max_share=self.config.max_share if self.config.mix == "balanced" else None,
        )

    def stages(self, specs: Sequence[StageSpec]) -> tuple[list[StageData], list[str]]:
        """All stages, and a sentence for each that changes nothing against the one before."""
        built = [self.stage(spec) for spec in specs]
        return built, same_as_before(built)

    def validation(self, batch_size: int) -> Iterator[TokenBatch]:
        """All validation records once, always in the same batches."""
        return self._validation.in_order(batch_size)

    @cached_property
    def _validation(self) -> TokenSet:
        config = self.config
        return TokenSet(self.held, pad=self.tokenizer.pad, length=config.length, packing=config.packing)

    def questions(self, n: int, *, split: str = "val") -> list[Question]:
        """At most ``n`` questions, the sets in turn, always the same ones; continuations have no exact answer.

        Args:
            split: "val" or "train".
        """
        if split not in ("val", "train"):
            raise ValueError(f"split must be 'val' or 'train', got {split!r}")
        corpus = self.held if split == "val" else self.train
        by_set: dict[str, list[Record]] = {name: [] for name in corpus.counts if name not in CONTINUATIONS}
        seen: set[str] = set()
        for record in corpus.records:
            if record.dataset in by_set and record.prompt not in seen:
                seen.add(record.prompt)
                by_set[record.dataset].append(record)
        turns = [first(members, n) for members in by_set.values()]
        width = max(map(len, turns), default=0)
        mixed = [members[index] for index in range(width) for members in turns if index < len(members)]
        return [Question(each.prompt, each.final or final_of(each.answer), each.dataset) for each in mixed[:n]]

    def openings(self, n: int) -> list[Question]:
        """At most ``n`` beginnings of validation texts that have no answer but go on, always the same ones."""
        going = [record for record in self.held.records if record.dataset in CONTINUATIONS]
        return [Question(record.prompt, record.answer, record.dataset) for record in first(going, n)]

    def continuations(self, batch_size: int) -> dict[str, tuple[float, Iterator[TokenBatch]]]:
        """For each set of such texts, the bytes of a token of its validation records and those records in batches."""
        config, found = self.config, {}
        for name in self.held.counts:
            if name in CONTINUATIONS:
                own = self.held.select(np.array([record.dataset == name for record in self.held.records]))
                rows = TokenSet(own, pad=self.tokenizer.pad, length=config.length, packing=config.packing)
                found[name] = own.bytes / own.scored, rows.in_order(batch_size)
        return found

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes of the validation texts for each scored token: bits a byte = nats a token / ln 2 / this."""
        return self.held.bytes / self.held.scored

    def facts(self) -> dict[str, Fact]:
        """What checks judge by, measured on the records that are really there; what is unknown is absent."""
        return dict(self._facts)

    @cached_property
    def _facts(self) -> dict[str, Fact]:
        mixed = self.stage(ALL)
        found: dict[str, Fact] = {
            "name": self.name,
            "source": self.config.source,
            "sets": dict(self.train.counts),
            "val_sets": dict(self.held.counts),
            "train_records": len(self.train),
            "val_records": len(self.held),
            "val_overlap": overlap(self.train.records, self.held.records),
            "train_removed_as_held_out": self.removed,
            "too_long": dict(self.too_long),
            "missing": [name for name in self.requested if name not in self.train.counts],
            "tokenizer": self.tokenizer.name,
            "vocabulary": self.tokenizer.vocab_size,
            "train_tokens": self.train.scored,
            "val_tokens": self.held.scored,
            "bytes_per_token": self.bytes_per_token,
            "compressor_bits_per_byte": compressor_bits_per_byte(self.train.records),
            "largest_set_share": largest_share(mixed.records),
            "largest_set_share_natural": largest_share(self.train.counts),
        }
        floor = loss_floor(self.held)
        return found if floor is None else {**found, "loss_floor": floor}

    @property
    def requested(self) -> tuple[str, ...]:
        """The sets that the configuration asks for."""
        return tuple(self.config.sets) or default_sets(self.config.source) or tuple(self.train.counts)


def open_text(config: Mapping[str, object], *, seed: int) -> TextData:
    """The data that ``run.data`` describes.

    Args:
        config: the table ``run.data`` (:class:`models.data.text.config.TextConfig`).
        seed: the run's seed; it draws the generated training records and nothing else. Validation and vocabulary are
            the same for every seed, so that runs can be compared.

    Raises:
        InputError: a bad configuration or bad data; a set that is asked for and not there is always one.
    """
    parsed = parse_text_config(config)
    parts, texts = _records(parsed, seed)
    tokenizer = _tokenizer(parsed, texts)
    return assemble(parsed, parts, ReversedNumbers(tokenizer) if parsed.numbers == "reversed" else tokenizer)


def assemble(config: TextConfig, parts: Split, tokenizer: TextTokenizer) -> TextData:
    """Tokenises both sides and keeps out what does not fit into a row.

    Raises:
        InputError: a set has no record left.
    """
    sides, too_long = [], Counter[str]()
    for side, records in (("training", parts.train), ("validation", parts.validation)):
        corpus = tokenise(records, tokenizer, answers_only=config.score == "answers")
        fits = corpus.lengths <= config.length
        too_long.update(record.dataset for record, fit in zip(records, fits, strict=True) if not fit)
        kept = corpus.select(fits) if not fits.all() else corpus
        lost = [name for name in corpus.counts if name not in kept.counts]
        if lost or not len(kept):
            what = f"set {lost[0]!r}" if lost else "the data"
            shortest = min((n for n, r in zip(corpus.lengths, records, strict=True) if r.dataset in lost), default=0)
            why = f"; the shortest record has {shortest} tokens, a row {config.length}" if lost else ""
            fix = "Raise run.data.length, or leave the set out." if lost else None
            raise InputError("text data", f"{what} has no {side} record{why}", key="run.data.length", fix=fix)
        sides.append(kept)
    notes = list(parts.notes)
    notes += [f"{count} records of {name} are longer than a row and kept out" for name, count in too_long.items()]
    wanted = config.vocabulary or (DEFAULT_VOCABULARY if config.tokenizer in TRAINED else tokenizer.vocab_size)
    if tokenizer.vocab_size < wanted:
        notes.append(f"vocabulary of {tokenizer.vocab_size}: the text has no merges for {wanted}")
    name = f"{config.source} ({', '.join(sides[0].counts)})"
    return TextData(name, config, tokenizer, sides[0], sides[1], parts.removed, dict(too_long), tuple(notes))


def _records(config: TextConfig, seed: int) -> tuple[Split, list[str]]:
    """Both sides, and the texts that a BPE is trained on: training records only."""
    if config.source == "generated":
        from models.data.text import python_docs
        from models.data.text.generated import generate

        train = generate(config, seed=seed, validation=False, count=config.records)
        held = generate(config, seed=0, validation=True, count=config.val_records)
        fixed = train if seed == 0 else generate(config, seed=0, validation=False, count=config.records)
        notes = [f"generated: {', '.join(config.sets or GENERATED)}; training records drawn with seed {seed}"]
        notes += [f"{python_docs.DATASET}: {python_docs.version()}"] if python_docs.DATASET in config.sets else []
        return Split(train, held, 0, (*notes,)), [record.text for record in fixed]
    from models.data.text.sources import read_sets

    parts = split(read_sets(config), fraction=config.val_fraction, val_records=config.val_records)
    by_set: dict[str, list[Record]] = {}
    for record in parts.train:
        by_set.setdefault(record.dataset, []).append(record)
    limited = [record for members in by_set.values() for record in first(members, config.limit)]
    return replace(parts, train=limited), [record.text for record in limited]


def _tokenizer(config: TextConfig, texts: list[str]) -> TextTokenizer:
    if config.tokenizer in TRAINED:
        return train_bpe(texts, config.vocabulary or DEFAULT_VOCABULARY, signs=config.tokenizer == "bpe_records")
    if config.tokenizer == "bytes":
        found = ByteTokenizer()
        if config.vocabulary not in (None, found.vocab_size):
            problem = f"expected {found.vocab_size}, the tokens of 'bytes', got {config.vocabulary}"
            raise InputError("text data", problem, key="run.data.vocabulary")
        return found
    from models.data.text.tokenizer_files import load

    return load(Path(config.tokenizer), config.vocabulary)
