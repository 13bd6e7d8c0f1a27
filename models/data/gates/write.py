"""A twin as a folder of vectors, sound or broken on purpose, to see gates pass and fail.

``python -m models.data.gates.write FOLDER [--broken NAME]... [--sequences N] [--dim D] [--ood]`` writes the training
corpus (vectors.npy, article.npy) to FOLDER, or, with --ood, the OOD corpus of the same space. Faults of the split need
train and validation windows in one file: they are written to FOLDER/windows.npz.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lvmcheck.errors import InputError
from models.data.config import TwinConfig, parse_data_config
from models.data.recipes import BREAKAGES
from models.data.store import Corpus
from models.data.synthetic import OOD_NAME, Twin


def write_twin(
    folder: Path, *, broken: Sequence[str] = (), sequences: int = 8_000, dim: int = 0, ood: bool = False
) -> Path:
    """Write one twin below ``folder`` and return the path to give to ``lvmcheck gate``.

    Raises:
        InputError: an unknown fault, a size out of range, or a folder that cannot be written.
    """
    config = parse_data_config(
        {"source": "twin", "sequences": sequences, "val_sequences": max(sequences // 4, 2), "dim": dim}
        | {"ood_sequences": max(sequences // 4, 2), "broken": list(broken)},
        where="models.data.gates.write",
    )
    assert isinstance(config, TwinConfig)
    twin = Twin(config, 0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if ood:
            return _folder(folder, twin.ood[OOD_NAME].corpus)
        if any(BREAKAGES[name].where == "validation" for name in broken):
            return _windows(folder, twin)
        return _folder(folder, twin.train(1).corpus)
    except OSError as error:
        raise InputError(folder, f"cannot be written: {error.strerror}") from None


def _folder(folder: Path, corpus: Corpus) -> Path:
    np.save(folder / "vectors.npy", corpus.vectors)
    np.save(folder / "article.npy", corpus.article)
    return folder


def _windows(folder: Path, twin: Twin) -> Path:
    path = folder / "windows.npz"
    context, target = twin.train(1).batch(slice(None))
    val_context, val_target = twin.validation.batch(slice(None))
    np.savez(
        path,
        context_sequences=context,
        target_vectors=target,
        val_context_sequences=val_context,
        val_target_vectors=val_target,
    )
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what the command line asks for and print its path; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="models.data.gates.write", description="write a twin as a folder of vectors")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--broken", action="append", default=[], metavar="NAME", help=", ".join(BREAKAGES))
    parser.add_argument("--sequences", type=int, default=8_000)
    parser.add_argument("--dim", type=int, default=0)
    parser.add_argument("--ood", action="store_true", help="the OOD corpus instead of the training corpus")
    options = parser.parse_args(arguments)
    try:
        print(
            write_twin(
                options.folder, broken=options.broken, sequences=options.sequences, dim=options.dim, ood=options.ood
            )
        )
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
