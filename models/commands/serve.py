"""``python -m models serve``: a trained model behind HTTP."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.extras import need
from models.commands._arguments import add_run, real, whole
from models.commands.main import PASSED

if TYPE_CHECKING:
    from models.checkpoints.language_model import LanguageModel
    from models.checkpoints.predictor import Predictor

HELP = "serve a trained model over HTTP: vectors at /predict, text at /generate"
EXAMPLE = """\
python -m models serve runs/amn --port 8003
python -m models serve runs/reasoning --port 8003"""
PORT = 8003
PACKAGES = ("starlette", "uvicorn", "prometheus_client")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "run directory or checkpoint; of a vector model an exported .pt2 file, too")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1, this machine alone")
    parser.add_argument("--port", type=whole(0, 65535), default=PORT, metavar="N", help=f"default: {PORT}; 0: any")
    parser.add_argument("--max-mb", type=real(0.001), default=8.0, metavar="X", help="size of a request (default: 8)")
    parser.add_argument("--timeout", type=real(0.1), default=30, metavar="S", help="seconds to answer in (default: 30)")
    parser.add_argument("--grace", type=whole(0), default=10, metavar="S", help="seconds to end in (default: 10)")


def run(options: argparse.Namespace) -> int:
    for package in PACKAGES:
        need(package, extra="serve", purpose="serving")
    from models.commands._torch import threads
    from models.serving.limits import Limits
    from models.serving.server import bound, serve

    listening = bound(options.host, options.port)
    with listening:
        threads(options.threads)
        model = _load(options.path, options.device)
        limits = replace(Limits(), body=int(options.max_mb * (1 << 20)), work=options.timeout, grace=options.grace)
        serve(model, listening, limits)
    return PASSED


def _load(path: Path, device: str) -> Predictor | LanguageModel:
    """The model, whatever it serves."""
    from models.checkpoints.language_model import LanguageModel, best
    from models.checkpoints.predictor import Predictor

    if path.suffix == ".pt2":
        return Predictor.load(path, device)
    from models.checkpoints.load import read

    text = read(best(path)).probe["input"].ndim == 2
    return LanguageModel.load(path, device) if text else Predictor.load(path, device)
