"""``python -m models train``: train a vector model or one of the three Cognate models into a run directory."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any, cast

from lvmcheck.errors import InputError
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.start import record
from lvmcheck.text.commands import INTERRUPTED
from lvmcheck.text.say import say
from models.commands._arguments import real, whole
from models.commands._config import COGNATE, Plan, plan
from models.commands._progress import Shown
from models.commands.main import FAILED, PASSED

HELP = "train a model into a run directory that lvmcheck can judge"
EXAMPLE = """\
python -m models train --model amn --data twin --epochs 20 --lambda-mse 1.0 --lambda-info 0.0
python -m models train --model reasoning --out runs/reasoning
python -m models train --resume runs/reasoning"""
RUNS = Path("runs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", "--model-type", metavar="NAME", help="amn, lstm, gru, ... or reasoning, memory, speed (Cognate)"
    )
    parser.add_argument(
        "--data", metavar="PATH", help="your vectors or questions; or twin, text, generated (default: the recipe's)"
    )
    parser.add_argument("--out", type=Path, metavar="RUN", help="run directory (default: runs/NAME, numbered if taken)")
    parser.add_argument("--epochs", type=whole(1), metavar="N", help="vector models: 20; Cognate: as its recipe says")
    parser.add_argument("--batch-size", type=whole(1), metavar="N", help="rows of a step")
    parser.add_argument("--lr", type=real(0.0), metavar="X", help="learning rate (vector models: 0.0005)")
    parser.add_argument("--muon-lr", type=real(0.0), metavar="X", help="Cognate: learning rate of hidden matrices")
    parser.add_argument("--seed", type=whole(0), metavar="N", help="random seed")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), help="default: auto")
    parser.add_argument("--threads", type=whole(1), metavar="N", help="threads on the CPU (default: 1)")
    for term, flag in (("mse", "mse"), ("info_nce", "info"), ("moment", "moment"), ("variance", "variance")):
        usual = "1.0" if term == "mse" else "0.0"
        parser.add_argument(
            f"--lambda-{flag}",
            dest=f"lambda_{term}",
            type=real(0.0),
            metavar="X",
            help=f"vector models: weight of the term {term} (default: {usual})",
        )
    parser.add_argument(
        "--patience", type=whole(1), metavar="N", help="stop after N epochs that bring no lower val_loss"
    )
    parser.add_argument(
        "--min-delta", type=real(0.0), default=0.0, metavar="X", help="how much lower counts (default: 0)"
    )
    parser.add_argument(
        "--keep-every", type=whole(0), metavar="N", help="keep and test a checkpoint every N epochs (default: 0, off)"
    )
    parser.add_argument("--recipe", type=Path, metavar="SUITE", help="take [run] of this suite (file or folder)")
    parser.add_argument("--profile", metavar="NAME", help="profile of the recipe (default: the suite's own)")
    parser.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="any key of [run], such as model.d_model=64"
    )
    parser.add_argument("--test", action="store_true", help="one epoch of little generated data, to see that it works")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="continue this run from its last checkpoint")
    parser.add_argument(
        "--on-fail", choices=("warn", "stop"), default="warn", help="what a failed check does meanwhile (default: warn)"
    )


def run(options: argparse.Namespace) -> int:
    if (options.model is None) == (options.resume is None):
        raise InputError("models train", "expected --model NAME to begin a run, or --resume RUN to continue one")
    if options.resume is not None:
        found, folder, checkpoint = _resumed(options.resume)
    else:
        found, checkpoint = plan(options), None
        folder = options.out or _free(options.model)
    failed: list[Any] = []

    def on_fail(verdict: Any) -> None:
        failed.append(verdict)
        if options.on_fail == "stop":
            rec.ask_to_stop(verdict.name)

    rec = record(
        folder,
        config=found.config,
        seed=found.seed,
        window=found.config["window"],
        resume=None if checkpoint is None else "auto",
        start_step=None if checkpoint is None else checkpoint.about.step,
        on_fail=on_fail,
    )
    rec.resume = None if checkpoint is None else checkpoint.path
    say(f"{folder}: {_about(found)}")
    _train(found, rec)
    return _told(folder, rec, failed)


def _train(found: Plan, rec: Recorder) -> None:
    """Trains; the first SIGINT or SIGTERM ends at the next step with a checkpoint, the second at once."""
    before: dict[int, Any] = {}

    def asked(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(number, before[number])
        rec.ask_to_stop(signal.Signals(number).name)
        os.write(2, b"ends at the next step; again: at once\n")  # nothing else is safe in a signal handler

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, asked)
    try:
        with rec:
            train = importlib.import_module(f"models.trainers.{found.trainer}").train
            train(found.config, cast(Recorder, Shown(rec, found.config["epochs"])))
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)


def _told(folder: Path, rec: Recorder, failed: list[Any]) -> int:
    """The last lines and the exit code."""
    if rec.stop_reason in ("SIGINT", "SIGTERM"):
        kept = any((folder / "checkpoints").glob("last-*"))
        then = f"go on with: python -m models train --resume {folder}" if kept else "nothing was trained yet"
        say(f"stopped at step {rec.steps} ({rec.stop_reason}); {then}")
        return INTERRUPTED
    then = "chat" if (folder / "checkpoints").is_dir() and _speaks(folder) else "predict"
    more = f"{then} {folder}" + (" --input x.npy --output y.npy" if then == "predict" else "")
    say(f"trained into {folder}; judge it: lvmcheck check {folder}; use it: python -m models {more}")
    return FAILED if any(verdict.status.value == "failed" for verdict in failed) else PASSED


def _speaks(folder: Path) -> bool:
    return any((folder / "checkpoints").glob("*/tokenizer.json"))


def _about(found: Plan) -> str:
    config = found.config
    loss = ", ".join(f"{name} {weight:g}" for name, weight in config["loss"].items())
    name = config["model"].get("specialisation", config["model"]["kind"])
    return f"{name}, {config['epochs']} epochs, batch {config['batch_size']}, lr {config['lr']:g}, {loss}"


def _free(name: str) -> Path:
    """``runs/amn``, or the first of ``runs/amn-2``, ``runs/amn-3`` ... that is free."""
    numbered = (RUNS / (name if number == 1 else f"{name}-{number}") for number in range(1, 100_000))
    return next(path for path in numbered if not path.exists())


def _resumed(folder: Path) -> tuple[Plan, Path, Any]:
    """What the run at ``folder`` trains, and its last checkpoint.

    Raises:
        InputError: no run, no checkpoint, or a run that has ended.
    """
    from models.checkpoints.load import newest
    from models.trainers.train_state import CHECKPOINTS

    checkpoint, refused = newest(folder / CHECKPOINTS, "last")
    if checkpoint is None:
        if refused:
            raise refused[0]
        raise InputError(folder, "expected a run with a checkpoint to continue from, got none", key="--resume")
    config = dict(checkpoint.about.config)
    if checkpoint.about.epoch >= config["epochs"]:
        raise InputError(folder, f"has trained all of its {config['epochs']} epochs", key="--resume")
    trainer = "language" if config["model"].get("specialisation") in COGNATE else "vector"
    return Plan(trainer, config), folder, checkpoint
