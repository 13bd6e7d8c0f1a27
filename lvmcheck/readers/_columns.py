"""Names of metrics: the column map that a person gives, and the names that other loggers use for the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from lvmcheck.errors import InputError, nearest
from lvmcheck.run.role_names import PLURALS

AXES = ("epoch", "step")
ALIASES = {
    "epoch": (
        *("epochs", "current_epoch", "epoch_id", "epoch_num", "epoch_number", "train_epoch", "trainer_epoch"),
        *("round", "rounds", "server_round", "communication_round", "fl_round", "global_round", "training_iteration"),
    ),
    "step": (
        *("global_step", "trainer_global_step", "train_global_step", "iteration", "iter", "current_steps"),
        *("current_step", "_step", "steps", "iterations", "num_updates", "n_iter", "it", "total_timesteps"),
        *("time_total_timesteps", "timesteps", "timesteps_total", "num_env_steps_sampled", "env_steps", "env_step"),
        *("total_env_steps", "frames", "batch", "batch_idx", "batch_id", "boosting_round", "episode", "episodes"),
    ),
}
"""Names that other loggers give the axes; the first that is there counts where the axis itself is not. Folded."""
MAY_FALL = frozenset({"steps", "it", "iterations", "timesteps", "frames", "batch", "batch_idx", "batch_id"})
"""Names of steps that may also be lengths: no axis where they go back."""
SIDECAR = ".columns.toml"
_SPLITS = {"validation": "val", "valid": "val", "eval": "val", "dev": "val", "training": "train"}
_CAMEL = re.compile(r"(?:(?<=[a-z]{2})|(?<=[A-Z][a-z]))(?=[A-Z][a-z])")
_SIDES = "train|training|val|valid|validation|eval|test|dev"
_SIDE_LAST = re.compile(rf"(?!(?:{_SIDES})_)(.+)_({_SIDES})")
_SEPARATORS = re.compile(r"[\s/.:\-]+")


TIMES = frozenset(
    {
        *("time", "elapsed_time", "remaining_time", "eta", "percentage", "data_time", "total_steps", "wall_time"),
        *("timestamp", "runtime", "duration", "eta_seconds", "rank_data_time", "epoch_time", "fps", "total_flos"),
        *("total_epochs", "num_epochs", "max_steps", "iterations_since_restore", "timesteps_since_restore"),
    }
)
_AXIS_NAMES = frozenset(name for aliases in ALIASES.values() for name in aliases)
_SPEEDS = ("_per_second", "_runtime", "_per_sec")
"""Columns that say how far or how long a run is: they are no metrics."""


def parse_columns(text: str) -> dict[str, str]:
    """``"epoch=step,val_loss=validation/loss"`` as our name -> the file's name.

    Raises:
        InputError: a pair without ``=``, an empty name, or a name given twice.
    """
    found: dict[str, str] = {}
    for pair in text.split(","):
        ours, sign, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and sign and theirs):
            raise InputError(
                "--columns", f"expected NAME=COLUMN pairs, got {pair.strip()!r}", fix='Such as "epoch=step,val_loss=v".'
            )
        if ours in found:
            raise InputError("--columns", f"{ours!r} is given twice ({found[ours]!r} and {theirs!r})")
        found[ours] = theirs
    return found


def sidecar(path: Path) -> dict[str, str]:
    """The column map beside a file (``metrics.csv.columns.toml``: lines such as ``val_loss = "v"``), or none.

    Raises:
        InputError: it is not such a map.
    """
    place = path.with_name(path.name + SIDECAR)
    if not place.is_file():
        return {}
    import tomllib

    if place.stat().st_size > 1 << 20:
        raise InputError(place, f"expected a small column map, got {place.stat().st_size:,} bytes")
    try:
        body = tomllib.loads(place.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InputError(place, f"is not TOML ({problem})") from None
    for ours, theirs in body.items():
        if not isinstance(theirs, str) or not theirs:
            raise InputError(place, f"expected the name of a column, got {theirs!r}", key=ours)
    return body


@lru_cache(maxsize=20_000)
def folded(name: str) -> str:
    """A name in small letters, with one sign between its words: ``Wall time`` is wall_time."""
    return _SEPARATORS.sub("_", name.strip(" \t#")).lower()


def with_axes(names: Iterable[str], columns: Mapping[str, str], falling: Iterable[str] = ()) -> dict[str, str]:
    """The column map, with axes that go by a name of another logger, in whatever case.

    ``falling`` names columns whose values go back.
    """
    present = set(names)
    lengths = {name for name in falling if folded(name) in MAY_FALL}
    usable = sorted(present - lengths, reverse=True)
    known = {folded(name): name for name in usable}  # the lower case one counts where both are
    found = {
        axis: next((known[name] for name in (axis, *aliases) if name in known), None)
        for axis, aliases in ALIASES.items()
        if axis not in present and axis not in columns
    }
    return {**columns, **{axis: name for axis, name in found.items() if name and name not in columns.values()}}


def axes(names: Iterable[str]) -> dict[str, str]:
    """Axis -> the name by which a row states it."""
    present = list(names)
    return with_axes(present, {axis: axis for axis in AXES if axis in present})


@lru_cache(maxsize=20_000)
def usual_name(name: str) -> str:
    """``validation/loss`` and ``eval_loss`` as ``val_loss``, ``Train/Loss`` as ``train_loss``: the names of checks."""
    words = folded(_CAMEL.sub("_", name)).strip("_")
    words = _side_first(words)
    head, _, rest = words.partition("_")
    said = f"{_SPLITS.get(head, head)}_{rest}" if rest else words
    before, sign, last = said.rpartition("_")
    return f"{before}{sign}{PLURALS.get(last, last)}"


def _side_first(words: str) -> str:
    """``loss_val`` as val_loss, where no split goes before it."""
    hit = _SIDE_LAST.fullmatch(words)
    return words if hit is None else f"{hit[2]}_{hit[1]}"


def rename(names: Iterable[str], columns: Mapping[str, str], where: Path) -> dict[str, str]:
    """The file's name -> our name for every metric; what is left out maps to "".

    A mapped column goes by the map. Any other goes by its usual name, or keeps its own where two would share one.

    Raises:
        InputError: the map names a column that is not there.
    """
    present = list(dict.fromkeys(names))
    for ours, theirs in columns.items():
        if theirs not in present:
            raise InputError(where, f"no column {theirs!r} (asked for as {ours})", fix=nearest(theirs, present))
    mapped = {theirs: ours for ours, theirs in columns.items()}
    rest = [name for name in present if name not in mapped]
    usual = [usual_name(_whole_epoch(name, present)) for name in rest]
    plain = {name: name if usual.count(new) > 1 else new for name, new in zip(rest, usual, strict=True)}
    left_out = {name for name in plain if _no_metric(folded(name))}
    return {**{name: "" if new in columns or name in left_out else new for name, new in plain.items()}, **mapped}


def _no_metric(name: str) -> bool:
    """Whether a column says how far or how long a run is, by its folded name."""
    aside = name.removeprefix("train_").removeprefix("eval_").strip("_")
    return aside in TIMES or name in _AXIS_NAMES or name.startswith("time_") or name.endswith(_SPEEDS)


def _whole_epoch(name: str, present: list[str]) -> str:
    """Lightning logs ``x`` twice, as ``x_step`` and as ``x_epoch``: the latter is x."""
    base = name.removesuffix("_epoch")
    return base if base != name and f"{base}_step" in present and base not in present else name
