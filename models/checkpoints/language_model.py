"""A trained language model with the tokenizer of its checkpoint: text in, text out."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lvmcheck.errors import InputError
from models.checkpoints.checkpoint import Checkpoint, published
from models.checkpoints.load import load_model
from models.cognate.generate import generate
from models.cognate.model import Cognate
from models.cognate.objective import token_losses
from models.cognate.stream import stream
from models.data.text.records import prompt_of
from models.data.text.tokenizer import TextTokenizer
from models.data.text.tokenizer_files import unpacked
from models.runtime.session import pick_device

UNKNOWN = "\ufffd"
BATCH = 32
CHARACTERS = 64  # no text has so many for each of its tokens
SETTINGS = ("max_new", "temperature", "top_p", "seed")


@dataclass(frozen=True)
class LanguageModel:
    """A model that only answers.

    Attributes:
        name: its specialisation. source: the checkpoint. about: what the checkpoint says of itself.
    """

    name: str
    model: Cognate
    tokenizer: TextTokenizer
    source: Path
    about: Checkpoint

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> LanguageModel:
        """From a run directory (its best checkpoint) or a checkpoint.

        Raises:
            InputError: no checkpoint, changed, of another model, without tokenizer or with another one.
        """
        where = best(Path(path))
        model, checkpoint = load_model(where, pick_device(device, str(where)))
        if not isinstance(model, Cognate):
            problem = f"expected a language model, got the vector model {checkpoint.about.kind!r}"
            raise InputError(where, problem, fix="python -m models predict takes it.")
        if checkpoint.tokenizer is None:
            raise InputError(where, "expected a checkpoint with its tokenizer, got one without", fix="Train it again.")
        tokenizer = unpacked(checkpoint.tokenizer, where / "tokenizer.json")
        if tokenizer.vocab_size != model.vocab_size:
            problem = f"expected a tokenizer of {model.vocab_size} tokens, got one of {tokenizer.vocab_size}"
            raise InputError(where / "tokenizer.json", problem)
        name = str(checkpoint.about.params.get("specialisation", "reasoning"))
        return cls(name, model, tokenizer, where, checkpoint)

    def tokens(self, text: str, *, raw: bool = False) -> list[int]:
        """The prompt that asks ``text``, or with ``raw`` the text itself, as tokens.

        Raises:
            InputError: nothing is asked, or far more than the model can take.
        """
        if not text.strip():
            raise InputError("prompt", "expected some text, got none")
        if len(text) > CHARACTERS * self.model.max_length:  # nothing is spent on finding out by how much
            problem = f"{len(text):,} characters are more than the model's context of {self.model.max_length}"
            raise InputError("prompt", problem, fix="Shorten it.")
        return self.tokenizer.encode(text if raw else prompt_of(text.strip()))

    def check_length(self, tokens: Sequence[int], max_new: int) -> None:
        """Raises InputError when prompt and answer do not fit into the model's positions."""
        longest = self.model.max_length
        if len(tokens) + max_new > longest:
            problem = f"{len(tokens)} tokens and {max_new} new ones are more than the model's context of {longest}"
            raise InputError("prompt", problem, fix="Shorten it, or ask for fewer new tokens.")

    def stream(self, tokens: Sequence[int], **settings: Any) -> Generator[tuple[str, int], None, None]:
        """The answer piece by piece, each with the tokens so far; never half a character.

        Args:
            tokens: of the prompt. settings: ``max_new``, ``temperature``, ``top_p``, ``seed``.

        Raises:
            InputError: as :func:`models.cognate.generate.generate`, before the first piece.
        """
        self.check_length(tokens, settings["max_new"])
        return self._pieces(stream(self.model, tokens, stop=self.tokenizer.end, **settings))

    def _pieces(self, tokens: Iterator[int]) -> Generator[tuple[str, int], None, None]:
        text = GrowingText(self.tokenizer)
        for token in tokens:
            if piece := text.more(token):
                yield piece, len(text.tokens)
        if rest := text.rest():
            yield rest, len(text.tokens)

    def answers(self, prompts: Sequence[Sequence[int]], **settings: Any) -> list[list[int]]:
        """The tokens of the answer to each prompt, computed in batches."""
        found: list[list[int]] = []
        for start in range(0, len(prompts), BATCH):
            part = prompts[start : start + BATCH]
            for each in part:
                self.check_length(each, settings["max_new"])
            found += generate(self.model, part, stop=self.tokenizer.end, **settings)
        return found

    @torch.inference_mode()
    def surprise(self, prompt: Sequence[int], answer: str) -> tuple[float, int]:
        """Nats of ``answer`` and of the end after it, given the prompt, and the tokens they are the sum over."""
        told = [*self.tokenizer.encode(f" {answer}"), self.tokenizer.end]
        if len(prompt) + len(told) > self.model.max_length:
            return math.nan, 0
        row = torch.tensor([[*prompt, *told]], device=self.model.token_embedding.weight.device)
        targets = torch.full_like(row, -100)
        targets[0, len(prompt) - 1 : -1] = row[0, len(prompt) :]
        losses: Tensor = token_losses(self.model, self.model(row), targets)
        return float(losses[targets >= 0].double().sum()), len(told)


class GrowingText:
    """A text that grows token by token, given out as far as no further token can change it."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self.tokens: list[int] = []
        self._tokenizer, self._said = tokenizer, ""

    def more(self, token: int) -> str:
        """What one more token adds; empty while a character is not whole."""
        self.tokens.append(token)
        text = self._tokenizer.settled(self._tokenizer.decode(self.tokens))
        if text.endswith(UNKNOWN) or len(text) <= len(self._said):  # perhaps the first bytes of a character
            return ""
        piece, self._said = text[len(self._said) :], text
        return piece

    def rest(self) -> str:
        """What was held back, once no token comes any more."""
        return self._tokenizer.decode(self.tokens)[len(self._said) :]


def best(path: Path) -> Path:
    """The newest best checkpoint of a run directory; any other path as it is.

    Raises:
        InputError: a run without a checkpoint, or nothing there.
    """
    found = published(path / "checkpoints", "best") or published(path, "best")
    if not found and not (path / "manifest.json").is_file():
        got = "a folder without one" if path.is_dir() else "no such folder"
        raise InputError(path, f"expected a run with a checkpoint, got {got}", fix="python -m models train writes one.")
    return found[-1] if found else path
