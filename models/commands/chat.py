"""``python -m models chat``: type a question, get the answer of a trained Cognate model."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.text.commands import BAD_INPUT
from lvmcheck.text.fit import clean
from lvmcheck.text.say import complain, say
from models.commands._arguments import add_decoding, add_run
from models.commands.main import PASSED

HELP = "talk to a trained Cognate model, at the terminal or through a pipe"
EXAMPLE = """\
python -m models chat runs/reasoning
echo "What is 25 + 17?" | python -m models chat runs/reasoning"""
LONGEST = 100_000
"""Characters of a line that is read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "run directory or checkpoint of a Cognate model")
    add_decoding(parser, max_new=24)
    parser.add_argument("--raw", action="store_true", help="continue the text as it is, in place of asking it")


def run(options: argparse.Namespace) -> int:
    from models.checkpoints.language_model import SETTINGS, LanguageModel
    from models.commands._torch import threads

    threads(options.threads)
    model = LanguageModel.load(options.path, options.device)
    settings = {name: getattr(options, name) for name in SETTINGS}
    alone = sys.stdin.isatty()
    if alone:
        say(f"{model.name}, {model.source.name}; a line is a question, Ctrl-D ends")
    code = PASSED
    while line := _line(alone):
        if not line.strip():
            continue
        try:
            _answer(model, line, options.raw, settings)
        except InputError as problem:
            complain(problem)
            code = BAD_INPUT
    return PASSED if alone else code


def _line(alone: bool) -> str:
    """The next line with its end; empty when there is none."""
    if alone:
        sys.stdout.write("> ")
        sys.stdout.flush()
    line = sys.stdin.readline(LONGEST)
    if not line and alone:
        sys.stdout.write("\n")
    return line


def _answer(model: Any, line: str, raw: bool, settings: dict[str, Any]) -> None:
    """Writes the answer as it comes."""
    pieces = model.stream(model.tokens(line.rstrip("\n"), raw=raw), **settings)
    begun = raw
    for piece, _ in pieces:
        text = piece if begun else piece.lstrip()
        begun = begun or bool(text)
        sys.stdout.write(clean(text, None))
        sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()
