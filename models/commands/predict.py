"""``python -m models predict``: the next vector of every context in a file."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.text.say import say
from models.commands._arguments import add_device, whole
from models.commands.main import PASSED

HELP = "predict the next vector of every context in a .npy file"
EXAMPLE = "python -m models predict runs/amn --input contexts.npy --output predictions.npy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="RUN", type=Path, help="run directory, checkpoint or exported .pt2 file")
    parser.add_argument("--input", type=Path, required=True, metavar="X.npy", help="contexts [N, T, D], or one [T, D]")
    parser.add_argument("--output", type=Path, required=True, metavar="Y.npy", help="predictions [N, D] at unit length")
    parser.add_argument("--batch-size", type=whole(1), default=512, metavar="N", help="rows at once (default: 512)")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    import numpy as np

    from models.checkpoints.predictor import Predictor
    from models.commands._torch import threads

    threads(options.threads)
    contexts = _contexts(options.input)
    if options.output.suffix != ".npy":
        raise InputError("--output", f"expected a name that ends in .npy, got {options.output.name!r}")
    predictor = Predictor.load(options.path, options.device)
    began = time.monotonic()
    single = contexts.ndim == 2
    rows = contexts[None] if single else contexts
    if rows.ndim == 0 or not len(rows):
        raise InputError(options.input, f"expected at least one context, got {list(rows.shape)}", key="--input")
    starts = range(0, len(rows), options.batch_size)
    predictions = np.concatenate([predictor(np.array(rows[at : at + options.batch_size])) for at in starts])
    seconds = time.monotonic() - began
    _write(options.output, predictions[0] if single else predictions)
    say(f"{len(predictions):,} predictions of {predictor.kind} in {seconds:.2f} s: {options.output}")
    return PASSED


def _contexts(path: Path) -> Any:
    """The array of a .npy file, mapped and not read.

    Raises:
        InputError: no such file, another format, or an array that needs pickle.
    """
    import numpy as np

    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or str(error)[:120]}", key="--input") from None
    except Exception as error:  # numpy passes on whatever its own parser of a damaged header raises
        raise InputError(
            path, f"expected a .npy file, got something else ({str(error)[:120]})", key="--input"
        ) from None
    if not isinstance(found, np.ndarray):
        raise InputError(path, "expected a .npy file with one array, got an archive", key="--input")
    return found


def _write(path: Path, array: Any) -> None:
    import numpy as np

    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        np.save(temporary, array)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(path, f"cannot be written: {error.strerror or error}", key="--output") from None
