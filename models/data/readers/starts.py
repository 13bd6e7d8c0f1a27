"""An explicit list of windows: the first row of each, beside the vectors."""

from __future__ import annotations

import numpy as np

from lvmcheck.errors import InputError
from models.data.readers.archive import Archive
from models.data.store import Windows


def chosen_windows(archive: Archive, windows: Windows) -> tuple[Windows, int, tuple[str, ...]]:
    """Those of ``windows`` whose first row the archive lists under ``start`` or ``starts`` [N], in the listed order.

    A listed window that would leave its article or the file is dropped; their number is returned, and the note says it.
    """
    key = archive.find(("start", "starts"), "the first row of each window")
    archive.header(key).require(archive.path, key, "iu", (None,), "[N] integers, the first row of each window")
    starts = archive.load(key)
    assert windows.starts is not None
    kept = np.isin(starts, windows.starts)
    if not kept.any():
        raise InputError(archive.path, f"none of its {len(kept)} windows lies inside an article", key=key)
    chosen = Windows(windows.corpus, windows.context, starts=starts[kept].astype(np.int32))
    if kept.all():
        return chosen, 0, ()
    dropped = int((~kept).sum())
    return chosen, dropped, (f"{archive.path.name}: {dropped} of {len(kept)} windows leave their article: dropped",)
