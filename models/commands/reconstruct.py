"""``python -m models reconstruct``: predicted vectors turned back into text, and how near they come."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.text.say import say
from models.commands._arguments import add_device, whole
from models.commands.main import PASSED

HELP = "turn predicted vectors back into text, beside the mean of the context"
EXAMPLE = "python -m models reconstruct runs/linear --data ../shared/data/vectors/wikitext2"
FIGURES = ("cosine", "text_cosine", "bleu", "exact_match", "mrr", "recall_at_10", "median_rank")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="RUN", type=Path, help="run directory, checkpoint or exported .pt2 file")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="vectors with their texts")
    parser.add_argument(
        "--bank",
        type=Path,
        metavar="PATH",
        help="texts to choose from: a folder of vectors with texts, or a file of texts (extra embed); default: --data",
    )
    parser.add_argument("--queries", type=whole(1), default=512, metavar="N", help="windows at most (default: 512)")
    parser.add_argument("--show", type=whole(0), default=3, metavar="N", help="texts to show (default: 3)")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    from models.checkpoints.predictor import Predictor
    from models.commands._torch import threads
    from models.data.dataset import open_data
    from models.reconstruction.bank import bank_of, open_bank
    from models.reconstruction.measure import compare

    threads(options.threads)
    predictor = Predictor.load(options.path, options.device)
    data = open_data({"path": str(options.data), "context": predictor.context}, seed=0)
    if data.texts is None:
        raise InputError(options.data, "expected texts beside the vectors, got none", key="--data")
    own = bank_of(data.validation.corpus.vectors, data.texts)
    bank = None if options.bank is None else open_bank(options.bank)
    figures, found = compare(predictor, data.validation, own, bank=bank, queries=options.queries)
    say(f"{figures['queries']:.0f} validation windows of {data.name}, {figures['bank']:,.0f} texts to choose from")
    for line in table(figures):
        say(f"  {line}")
    if "bleu" not in figures:
        say("  BLEU not measured: pip install -e '.[bleu]'")
    say("  vec2text not here: its published weights are for gtr-t5-base and ada-002 vectors alone")
    for true, text in list(zip(found.right, found.texts, strict=True))[: options.show]:
        say(f"true  {true}", f"text  {text}")
    return PASSED


def table(figures: Mapping[str, float]) -> list[str]:
    """Each figure of the prediction beside that of the mean of the context."""
    shown = [name for name in FIGURES if name in figures]
    rows = [(name, figures[name], figures[f"baseline_{name}"]) for name in shown]
    return [
        f"{'':14}{'prediction':>12}{'mean of context':>18}",
        *(f"{name:14}{own:12.4g}{trivial:18.4g}" for name, own, trivial in rows),
    ]
