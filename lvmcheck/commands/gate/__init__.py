"""``lvmcheck gate``: data judged before anything is trained on them."""

from __future__ import annotations

import argparse

from lvmcheck.text.say import say, say_json

HELP = "judge data before training on them"
EXAMPLE = "lvmcheck gate vectors.npz --texts chunks.jsonl --ood other_vectors.npz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="vectors: a folder, .npz, .npy, .parquet or .jsonl")
    parser.add_argument("--reference", default="", metavar="PATH", help="a corpus that the data should contain")
    parser.add_argument("--ood", action="append", default=[], metavar="PATH", help="an OOD set (may be repeated)")
    parser.add_argument("--expected-articles", type=int, metavar="N", help="how many articles there should be")
    parser.add_argument("--texts", default="", metavar="PATH", help="texts of the rows: .jsonl or .txt, gzipped or not")
    parser.add_argument("--golden", default="", metavar="PATH", help="golden vectors: a folder or .npz")
    parser.add_argument("--encoder", default="", metavar="NAME", help="what made the vectors, to encode texts again")
    parser.add_argument("--context", type=int, default=5, metavar="N", help="chunks before the target (default: 5)")
    parser.add_argument("--json", action="store_true", help="verdicts as JSON")


def run(options: argparse.Namespace) -> int:
    from lvmcheck.checks.verdict_json import verdict_json
    from lvmcheck.commands._judging import exit_code, print_verdicts
    from lvmcheck.commands.gate.measure import gate_data

    keys = ("path", "ood", "reference", "texts", "golden", "encoder", "context")
    config = {key: getattr(options, key) for key in keys}
    data, verdicts = gate_data(config, expected=options.expected_articles)
    if options.json:
        say_json([verdict_json(item) for item in verdicts])
    else:
        say(f"{data.data_name}: {data.facts['train_windows']:,} windows to train on, split {data.facts['split']}")
        print_verdicts(verdicts, verbose=True)
    return exit_code(verdicts, strict=False)
