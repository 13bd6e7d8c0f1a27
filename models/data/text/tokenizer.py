"""Text to token numbers and back: bytes, or a byte-level BPE; never an empty tokenizer, never a silent substitute."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from lvmcheck.errors import InputError
from models.checkpoints.atomic import publish_file

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would fight with torch's for the same cores
BYTES = 256
FILE = "tokenizer.json"
BYTES_CONTENT = b'"bytes"\n'


class TextTokenizer(Protocol):
    """What batches and generation need.

    Attributes:
        name: for reports. vocab_size: rows of the embedding, ``pad`` and ``end`` included.
        pad: fills rows; it is never scored. end: closes every record; no text encodes to it.
        digest: sha256 (hex) of all that decides the encoding.
    """

    name: str
    vocab_size: int
    pad: int
    end: int
    digest: str

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """:meth:`encode` of many."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text; ``pad`` and ``end`` are left out, bytes that are no UTF-8 become U+FFFD."""
        ...

    def settled(self, text: str) -> str:
        """The part of a decoded text that further tokens only add to."""
        ...

    def content(self) -> bytes:
        """All that decides the encoding, for :func:`models.data.text.tokenizer_files.unpacked`."""
        ...


class ByteTokenizer:
    """UTF-8 bytes, then ``end`` 256 and ``pad`` 257."""

    name = "bytes"
    vocab_size = BYTES + 2
    end = BYTES
    pad = BYTES + 1
    digest = hashlib.sha256(b"bytes 256").hexdigest()

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(token for token in tokens if token < BYTES).decode(errors="replace")

    def settled(self, text: str) -> str:
        return text

    def content(self) -> bytes:
        return BYTES_CONTENT


class BpeTokenizer:
    """A ``tokenizers.Tokenizer``; ``end`` and ``pad`` lie behind its vocabulary, or ``end`` is the one it has."""

    def __init__(self, inner: Tokenizer, *, name: str, end: int | None = None) -> None:
        self.name = name
        self._inner = inner
        inner.encode_special_tokens = True  # else a text that spells a special token would encode to it
        size = inner.get_vocab_size(with_added_tokens=True)
        self.end = size if end is None else end
        self.pad = size + 1 if end is None else end
        self.vocab_size = size + 2 if end is None else size
        self.digest = hashlib.sha256(f"{self.end} {self.pad} {inner.to_str()}".encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [each.ids for each in self._inner.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, tokens: Sequence[int]) -> str:
        kept = [token for token in tokens if token not in (self.pad, self.end)]
        return str(self._inner.decode(kept, skip_special_tokens=False))

    def settled(self, text: str) -> str:
        return text

    def content(self) -> bytes:
        return str(self._inner.to_str(pretty=True)).encode()

    def save(self, folder: Path) -> Path:
        """Writes ``tokenizer.json`` into ``folder``, for :func:`models.data.text.tokenizer_files.load`."""
        path = folder / FILE
        publish_file(path, self.content())
        return path


PIECES = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\p{N}|\s+(?!\S)|\s+"
"""Where GPT-2 cuts a text before it joins bytes (Radford et al. 2019), digits apart."""
SIGNS = r"\A ?Q:|\nA:| ?[-+*] (?=\d)|\d"
"""What a record has beside words: its two signs, operators with the spaces around them, and digits."""


def byte_level(model: models.BPE, *, split_digits: bool, signs: bool = False) -> Tokenizer:
    """An untrained byte-level tokenizer around ``model``: every text has an encoding and comes back unchanged.

    With ``signs`` a record's "Q:" and "\\nA:", and an operator with its spaces, can be one token each.
    """
    inner = Tokenizer(model)
    steps: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not signs)]
    if signs:
        steps.insert(0, pre_tokenizers.Split(Regex(f"{SIGNS}|{PIECES}"), "isolated"))
    elif split_digits:
        steps.insert(0, pre_tokenizers.Split(Regex(r"\d"), "isolated"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(steps)
    inner.decoder = decoders.ByteLevel()
    return inner


def train_bpe(texts: Sequence[str], vocabulary: int, *, signs: bool = False) -> BpeTokenizer:
    """A byte-level BPE of at most ``vocabulary`` tokens, ``end`` and ``pad`` included; the same texts give the same.

    Digits are tokens of their own: a sum can only be learned by its digits. A small corpus may not have as many
    merges as asked for; ``vocab_size`` is what it has. ``signs``: see :func:`byte_level`.

    Raises:
        InputError: no text.
    """
    if not any(texts):
        raise InputError("tokenizer 'bpe'", "no text to train on")
    inner = byte_level(models.BPE(), split_digits=True, signs=signs)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 2,
        min_frequency=2,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    inner.train_from_iterator(texts, trainer)
    return checked(BpeTokenizer(inner, name="bpe"), "tokenizer 'bpe'")


PROBE = "Q: What is 25 + 17?\nA: 42, naïve 東京 🙂"


def checked(tokenizer: BpeTokenizer, where: str | Path) -> BpeTokenizer:
    """The tokenizer, if it encodes anything and loses nothing.

    Raises:
        InputError: an empty tokenizer (what an offline ``GPT2Tokenizer.from_pretrained`` returns without an error),
            or one that does not give a text back.
    """
    tokens = tokenizer.encode(PROBE)
    if not tokens or tokenizer.vocab_size <= BYTES:
        problem = f"an empty tokenizer: {tokenizer.vocab_size} tokens, {PROBE[:12]!r} encodes to {tokens[:3]}"
        raise InputError(where, problem, fix="Expected a byte-level BPE of more than 256 tokens.")
    if tokenizer.decode(tokens) != PROBE:
        problem = f"loses text: {PROBE!r} comes back as {tokenizer.decode(tokens)!r:.80}"
        raise InputError(where, problem, fix="Expected a byte-level BPE, which encodes any text.")
    return tokenizer
