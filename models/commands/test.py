"""``python -m models test``: ask a trained Cognate model, keep every answer, and say how good they are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.text.say import say
from models.commands._arguments import add_decoding, add_device, real, whole
from models.commands.main import FAILED, PASSED

if TYPE_CHECKING:
    from models.checkpoints.language_model import LanguageModel
    from models.data.text.records import Question

HELP = "ask trained Cognate models 100 questions each; keep all answers"
EXAMPLE = """\
python -m models test runs/reasoning runs/memory runs/speed
python -m models test runs/reasoning --prompts questions.jsonl --at-least 0.9"""
ANSWERS = "answers.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="RUN", type=Path, nargs="+", help="run directories or checkpoints")
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help='JSON lines with "question" and "answer" (default: the validation questions of the run itself)',
    )
    parser.add_argument("--questions", type=whole(1), default=100, metavar="N", help="of each model (default: 100)")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"of one RUN (default: {ANSWERS} in it)")
    parser.add_argument("--at-least", type=real(0.0, 1.0), metavar="X", help="exit with 1 below this exact match")
    add_decoding(parser, max_new=24)
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    from lvmcheck.errors import InputError
    from models.checkpoints.answers import ask, bleu_or_reason, write
    from models.checkpoints.language_model import SETTINGS, LanguageModel
    from models.commands._torch import threads

    if options.output is not None and len(options.paths) > 1:
        raise InputError("--output", f"expected one RUN beside it, got {len(options.paths)}")
    threads(options.threads)
    settings = {name: getattr(options, name) for name in SETTINGS}
    good = True
    for path in options.paths:
        model = LanguageModel.load(path, options.device)
        asked = ask(model, _questions(options, model), **settings)
        place = options.output or (path if path.name != model.source.name else path.parents[1]) / ANSWERS
        write(place, asked, model)
        bleu, reason = bleu_or_reason(asked)
        say(f"{path}: {model.name}, {model.source.name}, {len(asked.answers)} questions, all answers in {place}")
        for line in (*asked.lines(), f"BLEU {bleu:.1f}" if bleu is not None else f"BLEU not measured: {reason}"):
            say(f"  {line}")
        good = good and (options.at_least is None or asked.exact_match >= options.at_least)
    return PASSED if good else FAILED


def _questions(options: argparse.Namespace, model: LanguageModel) -> list[Question]:
    """Those of the file, or of the run's own validation set."""
    from models.checkpoints.answers import own_questions, questions_in

    if options.prompts is None:
        return own_questions(model, options.questions)
    return questions_in(options.prompts, options.questions)
