"""Runs that no file here holds: on a server, read through its own library, and loggers that have to export first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError, excerpt
from lvmcheck.extras import need
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import FINISHED, run_of
from lvmcheck.readers._numbers import NotANumberError, number, whole
from lvmcheck.readers._rows import Row, epochs_filled
from lvmcheck.run.view import Run

WANDB_PAGE = re.compile(r"https?:/+(?:www\.)?wandb\.ai/([^/]+)/([^/]+)/runs/([^/?#]+).*")
ADDRESS = re.compile(r"(wandb|clearml|neptune|aim|mlflow|trackio|comet):/*(.+)")
EXPORTS = {
    "neptune": "Write each series as CSV in its own library: run['val/loss'].fetch_values().to_csv('val_loss.csv').",
    "aim": "Export the run as CSV from the table of Aim's Metrics page, or record it with lvmcheck.record as well.",
    "mlflow": "Give its store: mlflow.db, or the folder mlruns.",
    "trackio": "Give the store itself: PROJECT.db in Trackio's folder.",
    "comet": "Download its metrics as CSV: experiment, Metrics, Export.",
}
"""What to do for a run that cannot be read from where it is."""
FOLDERS = {".neptune": "neptune", ".aim": "aim"}
STATES = {"finished": dict(FINISHED), "running": {"status": "open", "reason": "it goes on"}}


def elsewhere(path: Path) -> Callable[[Asked], Run] | None:
    """What reads the run of an address such as ``wandb:team/project/id``; None for a path on this disk.

    Raises:
        InputError: of a logger that has to export its runs.
    """
    if path.exists():
        return None
    text = str(path)
    page = WANDB_PAGE.fullmatch(text)
    if page is not None:
        return lambda asked: _wandb("/".join(page.groups()), asked)
    found = ADDRESS.fullmatch(text)
    if found is None:
        return None
    kind, name = found.groups()
    if kind in EXPORTS:
        raise InputError(excerpt(text, 80), f"runs of {kind} are not read from its server", fix=EXPORTS[kind])
    return lambda asked: (_wandb if kind == "wandb" else _clearml)(name, asked)


def must_export(folder: Path) -> str | None:
    """What to do for the folder of a logger whose store is not read; None for any other."""
    for name, kind in FOLDERS.items():
        if folder.name == name or (folder / name).is_dir():
            return EXPORTS[kind]
    return None


def _wandb(name: str, asked: Asked) -> Run:
    """A run in W&B's cloud, through its own API and login."""
    where, run = wandb_run(name)
    with _answers(where, "wandb login"):
        history, config, state = list(run.scan_history()), dict(run.config), str(run.state)
    left_out: set[str] = set()
    rows = [row for line, it in enumerate(history, 1) if (row := _row(it, line, left_out)) is not None]
    notes = [f"left out, because they are no numbers: {', '.join(sorted(left_out)[:8])}"] if left_out else []
    info = {"config": {key: value for key, value in config.items() if not key.startswith("_")}, "run_id": name}
    done = STATES.get(state, {"status": "failed", "reason": f"W&B state {state}"})
    return run_of(Path(where), epochs_filled(rows), columns=asked.columns, info=info, done=done, notes=notes)


def wandb_run(name: str) -> tuple[str, Any]:
    """The address and the run of W&B's API, which tags can be written to.

    Raises:
        InputError: no such name, no wandb, no login, no such run.
    """
    where = f"wandb:{excerpt(name, 80)}"
    if len(name.split("/")) != 3 or not all(name.split("/")):
        raise InputError(where, "expected wandb:ENTITY/PROJECT/RUN")
    module = need("wandb", extra="readers", purpose="reading a run of W&B's cloud")
    with _answers(where, "wandb login"):
        return where, module.Api().run(name)


def wandb_name(path: Path) -> str | None:
    """``team/project/id`` of an address in W&B's cloud; None for anything else."""
    page, found = WANDB_PAGE.fullmatch(str(path)), ADDRESS.fullmatch(str(path))
    if page is not None:
        return "/".join(page.groups())
    return found[2] if found is not None and found[1] == "wandb" and not path.exists() else None


@contextmanager
def _answers(where: str, login: str) -> Iterator[None]:
    """Whatever a library of a server raises as one line: its own errors, of the network, of a missing login."""
    try:
        yield
    except Exception as problem:
        said = f"cannot be read ({type(problem).__name__}: {excerpt(str(problem), 120)})"
        raise InputError(where, said, fix=f"Is the name right, and has `{login}` been run here?") from None


def _row(said: Mapping[str, Any], line: int, left_out: set[str]) -> Row | None:
    values: dict[str, float] = {}
    for name, value in said.items():
        try:
            found = number(value)
        except NotANumberError:
            left_out.add(name)
            continue
        if found is not None:
            values[name] = found
    calls = values.pop("_step", None)
    step, t = values.pop("trainer/global_step", calls), values.pop("_runtime", 0.0)
    values = {name: value for name, value in values.items() if not name.startswith("_")}
    epoch = values.pop("epoch", None)
    if not values:
        return None
    return Row(values=values, epoch=epoch, step=None if step is None else whole(step), line=line, t=t)


def _clearml(name: str, asked: Asked) -> Run:
    """A task on ClearML's server, through its own library and credentials."""
    from lvmcheck.readers.clearml import named, rows_of

    where = f"clearml:{excerpt(name, 80)}"
    module = need("clearml", extra="clearml", purpose="reading a task of a ClearML server")
    with _answers(where, "clearml-init"):
        task = module.Task.get_task(task_id=name)
        found, config = task.get_all_reported_scalars(), dict(task.get_parameters() or {})
        state = str(task.get_status())

    def points() -> Iterator[tuple[str, int, float, float]]:
        for title, several in found.items():
            for series, curve in several.items():
                for x, y in zip(curve["x"], curve["y"], strict=True):
                    yield named(title, series), int(x), float(y), 0.0

    ended = {"completed": "finished", "published": "finished", "closed": "finished", "in_progress": "running"}
    done = STATES.get(ended.get(state, state), {"status": "failed", "reason": f"ClearML status {state}"})
    info = {"config": {key.removeprefix("General/"): value for key, value in config.items()}, "run_id": name}
    return run_of(Path(where), epochs_filled(rows_of(points())), columns=asked.columns, info=info, done=done)
