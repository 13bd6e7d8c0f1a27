"""Numbers least digit first: the order in which a sum is worked out, for a model that writes one digit after another.

The last digit of a sum needs the last digits of its operands alone, and each digit before it a carry that is known by
then. Written the usual way, the first digit needs all carries at once. Only tokens are turned round: texts that go in
and come out are as anybody writes them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from models.data.text.tokenizer import TextTokenizer

MARK = b'"numbers reversed"\n'
"""In front of the inner tokenizer's content."""
_NUMBER = re.compile(r"[0-9]{2,}")


class ReversedNumbers:
    """A tokenizer around another one, whose single digits it orders; encoding and decoding undo each other.

    A text that is continued must not end inside a number: the digits that follow would belong in front of it.
    """

    def __init__(self, inner: TextTokenizer) -> None:
        self.inner = inner
        self.name = f"{inner.name}, numbers reversed"
        self.vocab_size, self.pad, self.end = inner.vocab_size, inner.pad, inner.end
        self.digest = hashlib.sha256(f"reversed {inner.digest}".encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        return self.inner.encode(reverse(text))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self.inner.encode_batch([reverse(text) for text in texts])

    def decode(self, tokens: Sequence[int]) -> str:
        return reverse(self.inner.decode(tokens))

    def settled(self, text: str) -> str:
        return self.inner.settled(text.rstrip("0123456789"))  # a further digit would come in front of the last number

    def content(self) -> bytes:
        return MARK + self.inner.content()


def reverse(text: str) -> str:
    """The text with the digits of each number in the opposite order; twice is the text itself."""
    return _NUMBER.sub(lambda found: found[0][::-1], text)
