"""What ``run.data`` of a language run may say. Imports neither torch nor tokenizers: checking a suite costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lvmcheck.errors import InputError, nearest
from models.data.readers.kind import folder_names, is_folder
from models.schema import checked

GENERATED = ("arithmetic", "recall", "code")
BY_NAME = ("sums", "differences", "capitals", "python_docs")
"""Sets of source "generated" that are drawn only where ``sets`` names them."""
QA = ("gsm8k", "svamp", "mbpp", "arc_easy", "arc_challenge", "hellaswag")
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
OPERATORS = "+-*"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
TRAINED = ("bpe", "bpe_records")
"""Tokenizers that are trained on the training records."""
DEFAULT_VOCABULARY = 512
_ONLY = {
    "generated": ("records", "digits", "operations", "operators", "facts", "words"),
    "qa": ("path", "limit", "val_fraction"),
    "hub": ("limit", "val_fraction"),
    "jsonl": ("path", "limit", "val_fraction"),
}


class TextConfig(BaseModel):
    """Strict and frozen: unknown keys, values of another type and keys that the source never reads are refused.

    Attributes:
        source: "generated" (needs no file), "qa" (the six sets as files in the folder ``path``), "hub" (the same sets
            through the library ``datasets``) or "jsonl" (one file, or a folder of files, of your own).
        sets: data sets by name; empty takes all of the source.
        path: file or folder. limit: training records of each set at most.
        records: training records of each generated set. val_records: validation records of each set at most.
        val_fraction: share held out of a set that has no split of its own.
        digits, operations, operators: of the generated arithmetic; digits of an operand and operations at most.
        facts: statements of a generated recall question at most.
        words: whether sums and differences are asked in words too, or only as they are typed ("25 + 17").
        length: positions T of a row. packing: several records a row, else rows of one record in buckets by length.
        tokenizer: "bpe" (trained on the training records), "bpe_records" (the same with a record's signs, and an
            operator with its spaces, as tokens: a third fewer of a short sum), "bytes", a tokenizer.json or a folder
            with GPT-2's vocab.json and merges.txt. vocabulary: its size; for a file, what the file must have.
        numbers: "written", or "reversed": the tokens of a number come least digit first, so that a sum's carries are
            known when they are needed; texts are not touched (:class:`models.data.text.numbers.ReversedNumbers`).
        score: "all" tokens, or "answers": what is asked is read and not learned. Texts that go on are scored whole.
        mix: "balanced" (no set above ``max_share`` of the records) or "natural".
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    source: Literal["generated", "qa", "hub", "jsonl"] = "generated"
    sets: list[str] = []
    path: str = ""
    limit: Annotated[int, Field(ge=1)] | None = None
    records: Annotated[int, Field(ge=1, le=10**6)] = 4000
    val_records: Annotated[int, Field(ge=1, le=10**6)] = 400
    val_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    digits: Annotated[int, Field(ge=1, le=9)] = 2
    operations: Annotated[int, Field(ge=1, le=8)] = 1
    operators: str = OPERATORS
    facts: Annotated[int, Field(ge=1, le=12)] = 3
    words: bool = True
    length: Annotated[int, Field(ge=8, le=16_384)] = 128
    packing: bool = True
    tokenizer: Annotated[str, Field(min_length=1)] = "bpe"
    vocabulary: Annotated[int, Field(ge=258, le=2**20)] | None = None
    numbers: Literal["written", "reversed"] = "written"
    score: Literal["all", "answers"] = "all"
    mix: Literal["balanced", "natural"] = "balanced"
    max_share: Annotated[float, Field(gt=0, le=1)] = 0.4


def parse_text_config(config: Mapping[str, object], *, where: str | Path = "suite") -> TextConfig:
    """The typed configuration.

    Raises:
        InputError: unknown source, key or set, a wrong type, a value out of range, or a key that the source does not
            read; ``key`` is "run.data.<key>".
    """
    try:
        parsed = checked(TextConfig, config, str(where))
    except InputError as error:
        raise _error(where, str(error.key), error.problem, error.fix) from None
    read = _ONLY[parsed.source]
    for key in parsed.model_fields_set:
        owners = [source for source, keys in _ONLY.items() if key in keys]
        if owners and key not in read:
            problem = f"has no effect with source {parsed.source!r}"
            raise _error(where, key, problem, f"It belongs to source {' or '.join(map(repr, owners))}.")
    _check_sets(parsed, where)
    if parsed.source in ("qa", "jsonl") and not parsed.path:
        wanted = "the folder that holds the sets" if parsed.source == "qa" else "the file of the records"
        raise _error(where, "path", f"missing: source {parsed.source!r} needs {wanted}", None)
    odd = [sign for sign in parsed.operators if sign not in OPERATORS]
    if odd or not parsed.operators or len(set(parsed.operators)) < len(parsed.operators):
        raise _error(where, "operators", f"expected some of {OPERATORS!r}, each once, got {parsed.operators!r}", None)
    return parsed


def text_inputs(config: Mapping[str, object], *, where: str | Path = "suite") -> list[Path]:
    """The files whose content decides the data, sorted; for a run's cache key. Generated text has none.

    A path that does not exist is listed all the same, so that its appearance changes the key.
    """
    parsed = parse_text_config(config, where=where)
    found: set[Path] = set()
    if parsed.path:
        path = Path(parsed.path)
        inside = {path / name for name in _data_files(path)} if is_folder(path) else {path}
        if parsed.source == "qa":
            found |= {file for name in parsed.sets or QA for file in _files_of(path, name, inside)}
        else:
            found |= inside
    if parsed.tokenizer not in (*TRAINED, "bytes"):
        path = Path(parsed.tokenizer)
        names = [name for name in TOKENIZER_FILES if is_folder(path) and name in folder_names(path)]
        found |= {path / name for name in names} or {path}
    return sorted(found)


def _data_files(folder: Path) -> list[str]:
    return [name for name in folder_names(folder) if name.endswith(SUFFIXES)]


def _files_of(folder: Path, name: str, inside: set[Path]) -> set[Path]:
    """The files that may hold the set, or the first name under which it would be looked for."""
    return {folder / f"{name}{suffix}" for suffix in SUFFIXES} & inside or {folder / f"{name}{SUFFIXES[0]}"}


def known_sets(source: str) -> tuple[str, ...]:
    """Names that ``sets`` may hold; empty where the files decide."""
    return (*GENERATED, *BY_NAME) if source == "generated" else default_sets(source)


def default_sets(source: str) -> tuple[str, ...]:
    """The sets that are taken where ``sets`` names none; empty where the files decide."""
    return {"generated": GENERATED, "qa": QA, "hub": QA}.get(source, ())


def _check_sets(parsed: TextConfig, where: str | Path) -> None:
    known = known_sets(parsed.source)
    for name in parsed.sets:
        if known and name not in known:
            raise _error(where, "sets", f"unknown set {name!r} for source {parsed.source!r}", nearest(name, known))
        if parsed.sets.count(name) > 1:
            raise _error(where, "sets", f"set {name!r} is named twice", None)


def _error(where: str | Path, key: str, problem: str, fix: str | None) -> InputError:
    return InputError(where, problem, key=f"run.data.{key}", fix=fix)
