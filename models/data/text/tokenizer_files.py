"""Tokenizers from files: a tokenizer.json, or GPT-2's vocab.json and merges.txt from the user's own folder."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, models

from lvmcheck.errors import InputError, nearest
from models.data.readers.kind import folder_names, is_folder, regular_file
from models.data.text.numbers import MARK, ReversedNumbers
from models.data.text.tokenizer import BYTES_CONTENT, BpeTokenizer, ByteTokenizer, TextTokenizer, byte_level, checked

SIZE_LIMIT = 64 * 2**20
GPT2_SIZE = 50_257
GPT2_FILES = ("vocab.json", "merges.txt")
ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<end>")


def load(path: Path, vocabulary: int | None = None) -> BpeTokenizer:
    """The tokenizer at ``path``: a tokenizer.json, or a folder with one or with GPT-2's two files.

    Raises:
        InputError: not found, damaged, empty, not byte-level, or of another size than ``vocabulary``.
    """
    if not is_folder(path):
        found = _from_json(path)
    else:
        names = folder_names(path)
        if "tokenizer.json" in names:
            found = _from_json(path / "tokenizer.json")
        elif set(GPT2_FILES) <= set(names):
            found = _gpt2(path)
        else:
            held = ", ".join(names[:8]) or "nothing"
            problem = (
                f"no tokenizer here; expected tokenizer.json or {' and '.join(GPT2_FILES)}, the folder holds {held}"
            )
            raise InputError(path, problem, fix=nearest("tokenizer.json", names))
    if vocabulary is not None and vocabulary != found.vocab_size:
        problem = f"expected {vocabulary} tokens (run.data.vocabulary), the tokenizer has {found.vocab_size}"
        raise InputError(path, problem, key="run.data.vocabulary", fix="Leave the key out to take the tokenizer's.")
    return found


def unpacked(content: bytes, where: Path) -> TextTokenizer:
    """The tokenizer whose ``content`` a checkpoint carries.

    Raises:
        InputError: it is none.
    """
    if content.startswith(MARK):
        return ReversedNumbers(unpacked(content[len(MARK) :], where))
    return ByteTokenizer() if content == BYTES_CONTENT else _parsed(content.decode(errors="replace"), where)


def _from_json(path: Path) -> BpeTokenizer:
    return _parsed(_read(path), path)


def _parsed(text: str, path: Path) -> BpeTokenizer:
    try:
        inner = Tokenizer.from_str(text)
    except BaseException as error:  # a damaged file can make the Rust side panic, which is no Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise InputError(path, f"not a tokenizer.json: {str(error)[:120]}") from None
    inner.no_padding()
    inner.no_truncation()
    return checked(BpeTokenizer(inner, name=path.name, end=_end(inner)), path)


def _end(inner: Tokenizer) -> int | None:
    """The tokenizer's own end of text, unless a text that spells it encodes to it."""
    inner.encode_special_tokens = True
    for name in ENDS:
        number = inner.token_to_id(name)
        if number is not None and number not in inner.encode(name, add_special_tokens=False).ids:
            return int(number)
    return None


def _gpt2(folder: Path) -> BpeTokenizer:
    """GPT-2's own vocabulary; ``end`` is <|endoftext|>, which no text encodes to, and padding shares its number."""
    path = folder / "vocab.json"
    content = _read(path)
    try:
        vocab = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"not JSON: {str(error)[:120]}") from None
    if not isinstance(vocab, dict) or not all(type(number) is int for number in vocab.values()):
        raise InputError(path, "expected an object of token to number")
    if len(vocab) != GPT2_SIZE or set(vocab.values()) != set(range(GPT2_SIZE)) or ENDS[0] not in vocab:
        problem = (
            f"expected GPT-2's {GPT2_SIZE:,} tokens, numbered from 0 and {ENDS[0]!r} among them, got {len(vocab):,}"
        )
        raise InputError(path, problem)
    merges = _merges(folder / "merges.txt")
    try:
        model = models.BPE(vocab=vocab, merges=merges)
    except Exception as error:  # tokenizers raises plain Exceptions
        raise InputError(folder / "merges.txt", f"does not fit vocab.json: {str(error)[:120]}") from None
    return checked(BpeTokenizer(byte_level(model, split_digits=False), name="gpt2", end=vocab[ENDS[0]]), folder)


def _merges(path: Path) -> list[tuple[str, str]]:
    merges = []
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        parts = line.rstrip("\r").split(" ")
        if len(parts) != 2:
            raise InputError(path, f"expected two tokens with a space between, got {line!r:.60}", line=number)
        merges.append((parts[0], parts[1]))
    if not merges:
        raise InputError(path, "holds no merges")
    return merges


def _read(path: Path) -> str:
    size = regular_file(path)
    if not 0 < size <= SIZE_LIMIT:
        raise InputError(path, f"expected 1 to {SIZE_LIMIT:,} bytes, got {size:,}")
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8 at byte {error.start}") from None
