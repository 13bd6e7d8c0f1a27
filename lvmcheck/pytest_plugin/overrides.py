"""What the options of a session change in a suite's ``[run]``."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.launch.device import cores
from lvmcheck.pytest_plugin.options import Options
from lvmcheck.suite import Suite, find_trainer


def overrides(options: Options, suite: Suite, folder: Path) -> dict[str, object]:
    """Keys below ``[run]`` with their new values; paths count from ``folder``."""
    changes: dict[str, object] = {}
    if options.device is not None:
        changes["device"] = options.device
    if options.threads is not None:
        changes["threads"] = options.threads
    elif options.parallel and "threads" not in suite.config:
        changes |= _threads(options, suite)
    if options.ranks is not None:
        changes["distributed"] = {"ranks": options.ranks}
    if options.data is not None:
        changes |= _data(options, suite, folder)
    if options.seeds is not None:
        changes["seeds"] = list(options.seeds)
    return changes


def _threads(options: Options, suite: Suite) -> dict[str, object]:
    """Cores that the seeds of a suite leave idle, as threads of each: decided by the suite, whatever is asked of it."""
    each = cores() // (len(options.seeds or suite.seeds) * (options.ranks or suite.ranks))
    return {"threads": each} if each > 1 else {}


def _data(options: Options, suite: Suite, folder: Path) -> dict[str, object]:
    """The person's own data; a trainer's schema may say what they change, with ``data_at``."""
    assert options.data is not None
    data_at = getattr(find_trainer(suite.trainer).schema(), "data_at", None)
    if data_at is not None:
        return dict(data_at((folder / options.data).resolve(), suite.config))
    return {"data": _vectors(options, options.data, suite.config.get("data"), folder)}


def _vectors(options: Options, path: str, own: object, folder: Path) -> dict[str, object]:
    context = {key: value for key, value in own.items() if key == "context"} if isinstance(own, dict) else {}
    if path == "text" and not (folder / path).exists():
        return {"source": "text", **context}
    changes: dict[str, object] = {"source": "path", "path": str((folder / path).resolve()), **context}
    if options.data_name:
        changes["name"] = options.data_name
    if options.ood:
        changes["ood"] = [str((folder / other).resolve()) for other in options.ood]
    return changes
